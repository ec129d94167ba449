-- cardpeek's own EMV script, and what it made of the cards.
dofile("/usr/share/cardpeek/emv.lua")
print(nodes.to_xml(nodes.root()))
os.exit(0)

"""Has the crate emv's terminal take a contact transaction with the test profile to the end: it prints the card's cryptogram
and asks for the issuer's answer. Arguments: the program that answers, the terminal, its files' folder."""

import re
import subprocess
import sys

answers, terminal, folder = sys.argv[1:]
options = [part for name in ("terminal", "aids", "capk", "crl") for part in (f"--{name}", f"{folder}/{name}.toml")]
process = subprocess.Popen([terminal, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
said, first = "", {}
for line in process.stdout:
    said += line
    found = re.match(r" +(ATC|AC): +([0-9A-F]+)$", line)
    if found and found[1] not in first:
        first[found[1]] = found[2]
    if line.startswith("Enter online auth response"):
        answer = subprocess.run([answers, "answer", first["ATC"], first["AC"]], capture_output=True, text=True, check=True)
        process.stdin.write(answer.stdout)
        process.stdin.flush()
print(said, file=sys.stderr)
wanted = ["DdaSuccess", "EXTERNAL AUTHENTICATE → Successful", "Final outcome: Approved (TC banked)"]
missing = [text for text in wanted if text not in said]
if process.wait() != 0 or missing:
    sys.exit(f"the terminal did not say: {missing}")
print(f"emv-test-transaction: {', '.join(wanted)}")

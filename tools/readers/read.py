"""Reads the phone's cards with the library emv: PPSE, SELECT, GET PROCESSING OPTIONS, READ RECORD by the locator, GET
DATA. Fails when something that a terminal needs is missing or there twice."""

import sys

from emv.card import Card
from emv.protocol.command import GetDataCommand, GetProcessingOptions, ReadCommand, SelectCommand
from emv.protocol.response import SuccessResponse
from emv.protocol.structures import TLV
from smartcard.System import readers

# 9F66 qPBOC, online, data authentication wanted, fDDA version 01; 1.00 CNY.
TERMINAL = bytes.fromhex("21800080 000000000100 000000000000 0156 0000000000 0156 261126 00 01020304")
ONCE = ["82", "94", "57", "9F10", "9F26", "9F36", "9F6C", "5F34", "9F4B", "9F69", "5F24", "9F46", "90", "8F"]


class AnyProtocol:
    """A connection whose protocol the card chooses; the library insists on T=0, which is a contact card's."""

    def __init__(self, connection):
        self.connection = connection

    def connect(self, *_):
        self.connection.connect()

    def getProtocol(self):
        return self.connection.T0_protocol

    def __getattr__(self, name):
        return getattr(self.connection, name)


def objects(tlv):
    """Every primitive data object, by its tag in hexadecimal."""
    for tag, value in tlv.items():
        if isinstance(value, TLV):
            yield from objects(value)
        elif isinstance(value, list) and value and isinstance(value[0], TLV):
            for one in value:
                yield from objects(one)
        else:
            # What the library takes apart further is of no use here.
            number = [tag.id] if isinstance(tag.id, int) else tag.id
            yield bytes(number).hex().upper(), bytes(value) if type(value) is list else b""


def ask(card, command):
    response = card.tp.exchange(command)
    if not isinstance(response, SuccessResponse):
        sys.exit(f"{command}: {response}")
    return list(objects(response.data))


def read(card, name):
    ask(card, SelectCommand(list(name)))
    found = ask(card, GetProcessingOptions([0x83, len(TERMINAL), *TERMINAL]))
    locator = dict(found)["94"]
    for at in range(0, len(locator), 4):
        sfi, first, last, _ = locator[at : at + 4]
        for number in range(first, last + 1):
            found += ask(card, ReadCommand(number, sfi >> 3))
    tags = [tag for tag, _ in found]
    wrong = [tag for tag in ONCE if tags.count(tag) != 1]
    if wrong or len(tags) != len(set(tags)):
        sys.exit(f"{name.hex()}: not once: {wrong}; {sorted(tags)}")
    counter = dict(ask(card, GetDataCommand(GetDataCommand.ATC)))["9F36"]
    if counter != dict(found)["9F36"]:
        sys.exit(f"{name.hex()}: counter {counter.hex()}")
    print(f"emv: {name.hex().upper()}: {len(tags)} data objects, counter {counter.hex()}")


def main():
    card = Card(AnyProtocol(readers()[0].createConnection()))
    names = [value for tag, value in ask(card, SelectCommand("2PAY.SYS.DDF01")) if tag == "4F"]
    if len(names) != 2:
        sys.exit(f"{len(names)} cards in the directory")
    for name in names:
        read(card, name)


main()

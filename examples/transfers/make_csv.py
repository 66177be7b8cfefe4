#!/usr/bin/env python3
"""Writes a CSV of transfers as people make them: many small ones, few large ones, a few people who
receive most. The same seed gives the same file.

    python3 make_csv.py --rows 10000 > transfers.csv
"""

import argparse
import csv
import random
import sys

PEOPLE = 24
CURRENCIES = ["MAD"] * 8 + ["EUR"] * 2 + ["USD"]
NOTES = ["Loyer", "Courses", "Café", "غداء", "Taxi", "Facture d'eau", "Merci !", "Birthday 🎂", "", ""]


def phone(person: int) -> str:
    return f"+2126619000{person:02d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    writer = csv.writer(sys.stdout)
    writer.writerow(["key", "sender_phone", "recipient_phone", "amount_minor_units", "currency", "note"])
    for row in range(arguments.rows):
        sender = dice.randrange(PEOPLE)
        # One recipient in three is a shop, one of the first four people.
        recipient = dice.randrange(4) if dice.random() < 0.33 else dice.randrange(PEOPLE)
        if recipient == sender:
            recipient = (sender + 1) % PEOPLE
        amount = max(1, min(2_000_000, int(dice.lognormvariate(8.5, 1.3))))
        writer.writerow(
            [
                f"csv-{arguments.seed}-{row}",
                phone(sender),
                phone(recipient),
                amount,
                dice.choice(CURRENCIES),
                dice.choice(NOTES),
            ]
        )


if __name__ == "__main__":
    main()

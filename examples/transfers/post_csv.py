#!/usr/bin/env python3
"""Posts a CSV of transfers through the HTTP API and checks the totals against the file.

Registers everyone the file names, opens a wallet each, tops it up with what the person will need, sends
every row under its own Idempotency-Key from several threads, and then compares what each wallet holds
with what the file says. Running it again on the same server moves nothing and passes as well: every row
is recognised by its key.

    python3 post_csv.py --base http://127.0.0.1:8080 transfers.csv
"""

import argparse
import collections
import csv
import http.client
import json
import queue
import sys
import threading
import time
import urllib.parse

PASSWORD = "a-long-password-for-examples"


class Api:
    """One keep-alive connection."""

    def __init__(self, base: str) -> None:
        address = urllib.parse.urlparse(base)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def call(self, method, path, body=None, token=None, key=None):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if key:
            headers["Idempotency-Key"] = key
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = self.connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None

    def expect(self, statuses, *arguments, **named):
        status, body = self.call(*arguments, **named)
        if status not in statuses:
            sys.exit(f"{arguments[:2]} answered {status}: {body}")
        return body


class Person:
    def __init__(self, phone: str, token: str, wallet: str, funded: dict) -> None:
        self.phone, self.token, self.wallet, self.funded = phone, token, wallet, funded


def sign_in(api: Api, phone: str) -> str:
    credentials = {"identifier": phone, "password": PASSWORD}
    return api.expect((200,), "POST", "/api/v1/auth/login", credentials)["accessToken"]


def settle(api: Api, phone: str, needs: dict) -> Person:
    """Registers and funds one person; finds them when they are there already."""
    digits = phone.lstrip("+")
    person = {
        "email": f"customer{digits}@example.com",
        "phoneNumber": phone,
        "password": PASSWORD,
        "displayName": f"Customer {digits}",
    }
    api.expect((201, 409), "POST", "/api/v1/auth/register", person)
    token = sign_in(api, phone)
    wallets = api.expect((200,), "GET", "/api/v1/wallets", token=token)["items"]
    if wallets:
        wallet = wallets[0]["id"]
    else:
        currencies = {"currencies": ["MAD", "EUR", "USD"]}
        wallet = api.expect((201,), "POST", "/api/v1/wallets", currencies, token=token)["id"]
    for currency, amount in sorted(needs.items()):
        body = {"amountMinorUnits": amount, "currencyCode": currency}
        path = f"/api/v1/wallets/{wallet}/top-ups"
        api.expect((201,), "POST", path, body, token=token, key=f"fund-{currency}")
    return Person(phone, token, wallet, needs)


def send(base: str, people: dict, rows: queue.Queue, failures: list) -> None:
    api = Api(base)
    while True:
        try:
            row = rows.get_nowait()
        except queue.Empty:
            return
        sender = people[row["sender_phone"]]
        body = {
            "to": {"phone": row["recipient_phone"]},
            "amountMinorUnits": int(row["amount_minor_units"]),
            "currencyCode": row["currency"],
        }
        if row["note"]:
            body["note"] = row["note"]
        path = f"/api/v1/wallets/{sender.wallet}/transfers"
        while True:
            status, answer = api.call("POST", path, body, token=sender.token, key=row["key"])
            # The key makes asking again safe.
            if status == 401:
                # The token is over, or the transfer is large and the sign-in not of the last minutes.
                sender.token = sign_in(api, sender.phone)
            elif status in (409, 503):
                # The same row is under way, or the server is busy.
                time.sleep(0.2)
            else:
                break
        if status != 201:
            failures.append((row["key"], status, answer))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="http://127.0.0.1:8080")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("csv")
    arguments = parser.parse_args()
    with open(arguments.csv, newline="", encoding="utf-8") as file:
        transfers = list(csv.DictReader(file))

    needs = collections.defaultdict(lambda: collections.defaultdict(int))
    expected = collections.defaultdict(lambda: collections.defaultdict(int))
    for row in transfers:
        amount, currency = int(row["amount_minor_units"]), row["currency"]
        needs[row["sender_phone"]][currency] += amount
        expected[row["sender_phone"]][currency] -= amount
        expected[row["recipient_phone"]][currency] += amount

    api = Api(arguments.base)
    phones = sorted(expected)
    people = {phone: settle(api, phone, needs[phone]) for phone in phones}

    rows = queue.Queue()
    for row in transfers:
        rows.put(row)
    failures = []
    started = time.monotonic()
    threads = [
        threading.Thread(target=send, args=(arguments.base, people, rows, failures))
        for _ in range(arguments.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - started
    if failures:
        sys.exit(f"{len(failures)} transfers were not made, the first: {failures[0]}")

    wrong = []
    for phone, person in people.items():
        wallet = api.expect((200,), "GET", f"/api/v1/wallets/{person.wallet}", token=person.token)
        for balance in wallet["balances"]:
            currency = balance["currencyCode"]
            should = person.funded.get(currency, 0) + expected[phone][currency]
            if balance["balanceMinorUnits"] != should:
                wrong.append((phone, currency, balance["balanceMinorUnits"], should))
    if wrong:
        sys.exit(f"balances differ from the file (phone, currency, is, should be): {wrong}")
    total = sum(int(row["amount_minor_units"]) for row in transfers)
    print(
        f"{len(transfers)} transfers of {total} minor units among {len(people)} people in"
        f" {took:.1f} s ({len(transfers) / took:.0f}/s); every balance is what the file says"
    )


if __name__ == "__main__":
    main()

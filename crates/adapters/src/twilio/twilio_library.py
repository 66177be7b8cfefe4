"""Twilio's library against the stand-in, and callbacks as it signs them, on standard output."""

import json
import sys
from urllib.parse import urlencode

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

base_url, account, token, key, secret, sender, service = sys.argv[1:]
number = "+212612345678"
text = "123456 is your code & more: été, 50 % = +1"


class Here(TwilioHttpClient):
    """Asks the stand-in instead of Twilio."""

    def request(self, method, url, *arguments, **named):
        return super().request(
            method, url.replace("https://api.twilio.com", base_url), *arguments, **named
        )


def refusal(client, **message):
    """The status and the code that a message is refused with."""
    try:
        client.messages.create(**message)
    except TwilioRestException as error:
        return error.status, error.code
    raise AssertionError(f"{message} was taken")


by_key = Client(key, secret, account, http_client=Here())
by_account = Client(account, token, http_client=Here())
message = by_key.messages.create(to=number, from_=sender, body=text)
assert (message.status, message.to, message.body) == ("queued", number, text), message
assert message.sid.startswith("SM") and message.error_code is None, message
message = by_account.messages.create(to=number, messaging_service_sid=service, body=text)
assert message.status == "accepted" and message.messaging_service_sid == service, message

stranger = Client(account, "wrong", http_client=Here())
assert refusal(stranger, to=number, from_=sender, body=text) == (401, 20003)
assert refusal(by_key, to="+0", from_=sender, body=text) == (400, 21211)
assert refusal(by_key, to=number, from_="+15005550001", body=text) == (400, 21606)
assert refusal(by_key, to=number, from_=sender, body="x" * 1601) == (400, 21617)

validator = RequestValidator(token)
signed = []
for fields in [
    {"MessageSid": "SM1", "MessageStatus": "sent"},
    {"MessageStatus": "undelivered", "To": number, "MessageSid": "SM1", "ErrorCode": "30005"},
    {"MessageSid": "SM1", "MessageStatus": "delivered", "Ünïcode": text, "Empty": ""},
]:
    for url in ["https://bank.example/status", "https://bank.example:443/status"]:
        signature = validator.compute_signature(url, fields)
        assert validator.validate("https://bank.example/status", fields, signature)
        signed.append({"url": url, "form": urlencode(fields), "signature": signature})
json.dump(signed, sys.stdout)

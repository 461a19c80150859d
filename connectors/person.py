"""What a customer said to somebody here, on the phone or at the counter, written down by that person at the console.

The same words as a program's (`connectors/api.py`), signed by who wrote them. What people do to tickets that are there
comes in as envelopes of this connector too, read by the gateway itself.
"""

from typing import ClassVar

from connectors.api import Api


class Person(Api):
    name: ClassVar[str] = "person"

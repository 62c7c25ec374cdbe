"""Uses the client that openapi-python-client makes of the document: `client.py URL NAME ADMIN PASSWORD`.

Prints what it saw as JSON.
"""

import json
import sys

from authy_api import AuthenticatedClient, Client
from authy_api.api.event import list_events
from authy_api.api.session import login
from authy_api.api.user import get_self, get_user, list_users, register
from authy_api.models import Credentials, EventPage, ListEventsOrder, NewUser, UnknownEvent, UserRegisteredEvent

url, name, admin, password = sys.argv[1:]
anonymous = Client(base_url=url)


def log_in(username):
    tokens = login.sync(client=anonymous, body=Credentials(username=username, password=password))
    return AuthenticatedClient(base_url=url, token=tokens.token)


new = NewUser(username=name, email=f"{name}@example.org", password=password, confirm_password=password)
created = register.sync(client=anonymous, body=new)
me = get_self.sync(client=log_in(name))
administrator = log_in(admin)
users = list_users.sync(client=administrator, q=name, per_page=1)
user = get_user.sync(created.public_id, client=administrator)

page = list_events.sync(
    client=administrator, user=created.public_id, order=ListEventsOrder.ASC, since="2019-06-11T10:03:09Z"
)
registered = next(event for event in page.events if isinstance(event, UserRegisteredEvent))

# A kind that was not known when the client was generated.
later = page.to_dict()
later["events"][0] |= {"kind": "user.promoted", "detail": {"rank": 1}}
event = EventPage.from_dict(later).events[0]
assert isinstance(event, UnknownEvent) and event.kind == "user.promoted" and event.detail["rank"] == 1, event

refused = login.sync_detailed(client=anonymous, body=Credentials(username=name, password="wrong"))
seen = {
    "public_id": str(created.public_id),
    "me": me.username,
    "listed": [str(user.public_id) for user in users.users],
    "validated": user.validated,
    "kinds": [event.kind for event in page.events],
    "role": registered.detail.role,
    "next": page.next_,
    "status": refused.status_code,
    "code": refused.parsed.code,
    "detail": refused.parsed.detail,
}
print(json.dumps(seen))

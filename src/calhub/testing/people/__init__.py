"""People who use one calendar, each in the app of a service of their own: Google, Outlook, Notion, a calendar program.

All have the same few gestures, so that a test or the demo can let them play together; each makes them as the service's
own app would, behind calhub's back. Nothing here is shared with the hub or with the providers, so what `Person.entries`
tells is what is really there.
"""

from calhub.testing.people.base import ZONE, Entry, Person
from calhub.testing.people.google import GooglePerson
from calhub.testing.people.notion import PROPERTIES, NotionPerson
from calhub.testing.people.outlook import OutlookPerson
from calhub.testing.people.program import ProgramPerson, entries_of

__all__ = [
    "PROPERTIES",
    "ZONE",
    "Entry",
    "GooglePerson",
    "NotionPerson",
    "OutlookPerson",
    "Person",
    "ProgramPerson",
    "entries_of",
]

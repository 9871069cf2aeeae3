"""An emulator of Google Calendar v3 with Google's sign-in, after the facts named in its comments.

Comments such as "google: Writing" name the section of the project's fact sheet about Google that is followed.
"""

from calhub.testing.services.google.service import GoogleService

__all__ = ["GoogleService"]

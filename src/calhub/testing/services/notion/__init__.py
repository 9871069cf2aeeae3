"""An emulator of the Notion API."""

from calhub.testing.services.notion.model import NEW, OLD, RENAMED, VERSIONS
from calhub.testing.services.notion.service import NotionService

__all__ = ["NEW", "OLD", "RENAMED", "VERSIONS", "NotionService"]

"""The provider contract, in both models and with the renamed members of 2026-03-11."""

import pytest
from tests.providers.notion.conftest import FULL, NAMED, USUAL, Connect

from calhub.providers.base import Capabilities, Provider
from calhub.providers.layers import Layer
from calhub.testing.contract import ProviderContract, Remote
from calhub.testing.services.notion import OLD, VERSIONS, NotionService


class Prepared(Layer):
    """The suite compares by the capabilities of the account; those of Notion depend on the calendar."""

    def __init__(self, inner: Provider, calendar: str, **settings: object) -> None:
        super().__init__(inner)
        self._capabilities = inner.prepare(calendar, settings)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestFullDataSource(ProviderContract):
    @pytest.fixture
    def remote(self, service: NotionService, connect: Connect, version: str) -> Remote:
        source = service.add_database("Contract", FULL)
        calendar = source.database if version == OLD else source.id
        return Remote(Prepared(connect(version), calendar, **NAMED), calendar)


class TestUsualProperties(ProviderContract):
    @pytest.fixture
    def remote(self, service: NotionService, connect: Connect) -> Remote:
        source = service.add_database("Contract", USUAL)
        return Remote(Prepared(connect(), source.id), source.id)


class TestBareDatabase(ProviderContract):
    """What is missing is made when it is needed."""

    @pytest.fixture
    def remote(self, service: NotionService, connect: Connect) -> Remote:
        source = service.add_database("Contract", {"Name": {"title": {}}, "When": {"date": {}}})
        return Remote(Prepared(connect(), source.id, create_properties=True), source.id)


class TestOccurrences(ProviderContract):
    """With a row for each occurrence, too."""

    @pytest.fixture
    def remote(self, service: NotionService, connect: Connect) -> Remote:
        source = service.add_database("Contract", FULL)
        return Remote(Prepared(connect(), source.id, series="occurrences", **NAMED), source.id)

"""Accounts: sign in with credentials, what is there, how it fares. Signing in in a browser is for the command line."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from calhub.api import bodies, shapes
from calhub.api.depends import Here, Slowly, needs
from calhub.api.paging import Cursor, Json, Limit, page
from calhub.api.problems import Problem
from calhub.hub import accounts, runs
from calhub.providers.base import ProviderError
from calhub.providers.pinned import SETTING
from calhub.providers.vault import MemoryVault
from calhub.sync import accounts as services
from calhub.sync.accounts import SECRETS

router = APIRouter(tags=["accounts"])


@router.get("/accounts", response_model=shapes.Page[shapes.Account], dependencies=[needs("read")])
def list_accounts(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """All accounts and how they fare."""
    with here.hub.read() as conn:
        found = accounts.accounts(conn)
        shown = [(each.id, runs.account_shape(conn, each)) for each in found]
    ids = {shape["name"]: key for key, shape in shown}
    return page((shape for _, shape in shown), limit, cursor, lambda shape: [ids[shape["name"]]])


@router.post("/accounts", status_code=201, response_model=shapes.AccountAdded, dependencies=[needs("admin")])
async def add_account(here: Here, slowly: Slowly, body: bodies.AccountNew) -> Response:
    """Sign in, and attach the account's calendars. Keeps nothing when that fails (422).

    Addresses may not lead into private networks, unless the setting `allow_private_networks` is on.
    """
    settings = {name: value for name, value in body.credentials.items() if name not in SECRETS | SETTING.keys()}
    secrets = {name: value for name, value in body.credentials.items() if name in SECRETS}
    services.settle(body.provider, settings, secrets)
    if body.provider != "folder" and here.public_only:
        settings |= SETTING

    def work() -> Response:
        try:
            made = services.add(here.hub, body.provider, body.name, settings, MemoryVault(secrets), body.calendars)
        except ProviderError as error:
            raise Problem(422, error.message, code="sign-in-failed", hint=error.hint) from error
        return Json(made, 201, {"Location": f"/api/v1/accounts/{accounts_path(body.name)}"})

    answer: Response = await slowly(work)
    return answer


def accounts_path(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


@router.get("/accounts/{name:path}/remotes", response_model=shapes.Page[shapes.Remote], dependencies=[needs("read")])
async def remotes(here: Here, slowly: Slowly, name: str, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """The account's remote calendars, attached or not. Asks the service."""
    found = await slowly(lambda: services.remotes(here.hub, here.connector(), name))
    return page(sorted(found, key=lambda each: each["id"]), limit, cursor, lambda each: [each["id"]])


@router.post("/accounts/{name:path}/test", response_model=shapes.Account, dependencies=[needs("write")])
async def test(here: Here, slowly: Slowly, name: str) -> Response:
    """Sign in and list the calendars, without changing anything; keeps the account's state up to date."""

    def work() -> Response:
        with here.hub.read() as conn:
            account = accounts.account(conn, name)
        error = services.probe(here.hub, here.connector(), account)
        if error is not None:
            raise error
        with here.hub.read() as conn:
            return Json(runs.account_shape(conn, accounts.account(conn, account.id)))

    answer: Response = await slowly(work)
    return answer


@router.get("/accounts/{name:path}", response_model=shapes.Account, dependencies=[needs("read")])
def show_account(here: Here, name: str) -> Response:
    """One account."""
    with here.hub.read() as conn:
        return Json(runs.account_shape(conn, accounts.account(conn, name)))


@router.patch("/accounts/{name:path}", response_model=shapes.Account, dependencies=[needs("admin")])
def change_account(here: Here, name: str, body: bodies.AccountEdit) -> Response:
    """Say when an account has its turn; what is not named stays."""
    with here.hub.transaction() as conn:
        account = accounts.account(conn, name)
        accounts.set_schedule(conn, account, replace(account.schedule, **body.model_dump(exclude_none=True)))
        return Json(runs.account_shape(conn, accounts.account(conn, account.id)))


@router.delete("/accounts/{name:path}", response_model=shapes.AccountRemoved, dependencies=[needs("admin")])
async def remove_account(
    here: Here,
    slowly: Slowly,
    name: str,
    keep_events: Annotated[bool, Query(description="Keep its calendars.")] = False,
) -> Response:
    """Forget the account. Nothing is deleted at the service."""
    return Json(await slowly(lambda: services.remove(here.hub, name, keep_events=keep_events)))

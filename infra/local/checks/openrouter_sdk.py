#!/usr/bin/env python3
"""Checks the simulated provider with the official SDK (`pip install openrouter`), a client that none of us wrote.

    openrouter_sdk.py <base URL> --management-key-file FILE

The base URL is `provider` of the bundle's `ready` line. Every call goes through the SDK's typed models, so an answer of the wrong
shape fails its validation; and each answer is walked for values and fields that the SDK does not know. Only what the product calls
is checked. One line a check; `N passed, 0 failed` and status 0 when all is well.
"""

import argparse
import hashlib
import json
import re
import secrets
import sys
import types
import typing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
from openrouter import OpenRouter, errors
from openrouter.types import UnrecognizedStr
from pydantic import BaseModel

DEAR = "anthropic/claude-opus-4.5"
FREE = "meta-llama/llama-3.3-70b-instruct:free"
RUN = f"sdk-{secrets.token_hex(4)}"
# Fields that the provider sends and the SDK's models lack. A row of a report has the requested fields.
BESIDE_THE_MODELS = {
    "ChatResult": {"provider"},
    "ChatChoice": {"native_finish_reason"},
    "QueryAnalyticsData1": {"date__day", "api_key_id", "model", "total_usage", "credits_usage", "byok_usage", "request_count"},
}


class Check:
    """Counts and prints. A check that raises has failed; the others go on."""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, title, run):
        try:
            run()
        except Exception as problem:  # pylint: disable=broad-except
            self.failed += 1
            print(f"FAILED  {title}: {type(problem).__name__}: {problem}", flush=True)
        else:
            self.passed += 1
            print(f"ok      {title}", flush=True)

    def done(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


class Client:
    """The SDK with one key; remembers the last answer as it came over the wire."""

    def __init__(self, url, key):
        self.raw, self.url = None, url
        http = httpx.Client(trust_env=False, event_hooks={"response": [self._remember]})
        self.sdk = OpenRouter(api_key=key, server_url=url, client=http, timeout_ms=20_000, retry_config=None)
        self.keys, self.guardrails, self.workspaces = self.sdk.api_keys, self.sdk.guardrails, self.sdk.workspaces

    def _remember(self, response):
        if response.headers.get("content-type", "").startswith("application/json"):
            response.read()
            self.raw = response.json()

    def typed(self, answer):
        """The answer, after a check that the SDK knows every part of it."""
        walk(answer, self.raw, type(answer).__name__)
        return answer

    def listed(self, page):
        return self.typed(page.result)


def walk(value, raw, path):
    assert not isinstance(value, UnrecognizedStr), f"{path}: the SDK does not know {value!r}"
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        known = {field.alias or name: (name, field) for name, field in fields.items()}
        unknown = set(raw) - set(known) - BESIDE_THE_MODELS.get(type(value).__name__, set())
        assert not unknown, f"{path}: the SDK does not know the fields {sorted(unknown)}"
        for alias, (name, field) in known.items():
            if alias in raw:
                strict(field.annotation, raw[alias], f"{path}.{alias}")
                walk(getattr_quietly(value, name), raw[alias], f"{path}.{alias}")
    elif isinstance(value, list):
        for index, (item, raw_item) in enumerate(zip(value, raw, strict=True)):
            walk(item, raw_item, f"{path}[{index}]")


def getattr_quietly(model, name):
    """The field, without the warning that a deprecated one gives."""
    return model.__dict__[name]


def strict(annotation, raw, path):
    """Pydantic turns "5" into 5.0 and 1 into True; the wire must not rely on that."""
    kinds = set(leaves(annotation))
    if isinstance(raw, bool):
        assert bool in kinds or typing.Any in kinds or True in kinds, f"{path}: a boolean where {kinds} belongs"
    elif isinstance(raw, (int, float)):
        assert kinds & {int, float, typing.Any}, f"{path}: a number where {kinds} belongs"
    elif isinstance(raw, str):
        assert not kinds <= {int, float, bool, type(None)}, f"{path}: a string where {kinds} belongs"


def leaves(annotation):
    value = getattr(annotation, "__value__", None)
    origin = typing.get_origin(annotation)
    if value is not None and origin is None:
        yield from leaves(value)
    elif origin is typing.Literal:
        yield from ((argument if argument is True else type(argument)) for argument in typing.get_args(annotation))
    elif origin is typing.Annotated:
        yield from leaves(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType) or hasattr(origin, "__value__"):
        for argument in typing.get_args(annotation):
            yield from leaves(argument)
        if hasattr(origin, "__value__"):
            yield type(None)
    else:
        yield annotation


def refused(error, status, run, message=None):
    """The SDK's own error class must come, with the code in the body equal to the status."""
    try:
        run()
    except error as refusal:
        assert refusal.status_code == status, f"status {refusal.status_code}"
        body = json.loads(refusal.body)["error"]
        assert body["code"] == status, body
        if isinstance(refusal, errors.OpenRouterDefaultError):
            assert error is errors.OpenRouterDefaultError, f"the SDK has no model for this refusal: {refusal.body}"
        else:
            assert refusal.data.error.code == status and refusal.data.error.message, refusal.body
        assert message is None or message in body["message"], body
        return body
    raise AssertionError("it was not refused")


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def check_keys(check, url, manager, made):
    def create():
        answer = manager.typed(
            manager.keys.create(
                name=f"{RUN} full",
                limit=20.5,
                limit_reset="monthly",
                include_byok_in_limit=True,
                expires_at=datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=90),
            )
        )
        made.keys.append(answer.data.hash)
        made.plaintext, made.hash = answer.key, answer.data.hash
        assert re.fullmatch(r"sk-or-v1-[0-9a-f]{64}", answer.key), "the plaintext has another form"
        same(answer.data.hash, hashlib.sha256(answer.key.encode()).hexdigest())
        same((answer.data.limit, answer.data.limit_remaining, answer.data.limit_reset), (20.5, 20.5, "monthly"))
        same((answer.data.include_byok_in_limit, answer.data.disabled, answer.data.usage), (True, False, 0))
        same(answer.data.expires_at.utcoffset(), timedelta(0))
        same((answer.data.last_used_at, answer.data.updated_at, answer.data.external_user), (None, None, None))

    def least():
        answer = manager.typed(manager.keys.create(name=f"{RUN} least"))
        made.keys.append(answer.data.hash)
        same((answer.data.limit, answer.data.limit_remaining, answer.data.limit_reset), (None, None, None))
        same(answer.data.expires_at, None)

    def read():
        answer = manager.typed(manager.keys.get(hash=made.hash))
        same(answer.data.name, f"{RUN} full")
        assert made.plaintext not in json.dumps(manager.raw)
        datetime.fromisoformat(answer.data.created_at)

    def update():
        answer = manager.typed(
            manager.keys.update(hash=made.hash, name=f"{RUN} renamed", limit=30, limit_reset="weekly", include_byok_in_limit=False)
        )
        same((answer.data.name, answer.data.limit, answer.data.limit_reset), (f"{RUN} renamed", 30, "weekly"))
        assert answer.data.updated_at is not None and answer.data.expires_at is not None
        answer = manager.typed(manager.keys.update(hash=made.hash, limit=None, limit_reset=None))
        same((answer.data.limit, answer.data.limit_reset, answer.data.name), (None, None, f"{RUN} renamed"))
        manager.keys.update(hash=made.hash, limit=20, limit_reset="daily")

    def own():
        client = Client(url, made.plaintext)
        answer = client.typed(client.keys.get_current_key_metadata()).data
        same((answer.is_management_key, answer.limit, answer.limit_reset), (False, 20, "daily"))
        same(answer.workspace_id, manager.keys.get(hash=made.hash).data.workspace_id)
        same([budget.scope for budget in answer.budgets], ["key_limit"])
        same(answer.effective_budget.remaining_usd, 20)
        same((answer.effective_budget.reset_interval, answer.effective_budget.resets_at.strftime("%H:%M:%S%z")), ("daily", "00:00:00+0000"))
        assert answer.free_model_daily_requests.limit in (50, 1000)

    def own_of_management():
        answer = manager.typed(manager.keys.get_current_key_metadata()).data
        same((answer.is_management_key, answer.workspace_id, answer.limit), (True, None, None))

    def hidden():
        answer = manager.keys.create(name=f"{RUN} expired", expires_at=datetime(2020, 1, 1, tzinfo=timezone.utc))
        made.keys.append(answer.data.hash)
        disabled = made.keys[1]
        manager.keys.update(hash=disabled, disabled=True)
        names = lambda **asked: {key.name for key in manager.typed(manager.keys.list(**asked)).data if RUN in key.name}
        plain, gone, least = f"{RUN} renamed", f"{RUN} expired", f"{RUN} least"
        same(names(include_disabled=False), {plain})
        same(names(include_disabled=True), {plain, least})
        same(names(include_expired=True), {plain, gone})
        same(names(include_disabled=True, include_expired=True), {plain, gone, least})
        refused(errors.UnauthorizedResponseError, 401, Client(url, answer.key).keys.get_current_key_metadata)
        same(manager.keys.update(hash=disabled, disabled=False).data.disabled, False)

    def pages():
        for number in range(120):
            made.keys.append(manager.keys.create(name=f"{RUN} page {number:03}").data.hash)
        listed, sizes = [], []
        while not sizes or sizes[-1]:
            page = manager.typed(manager.keys.list(include_disabled=True, include_expired=True, offset=len(listed))).data
            same(set(manager.raw), {"data"})
            listed += page
            sizes.append(len(page))
        same((sizes[0], max(sizes), set(sizes[:-2])), (100, 100, {100}))
        ours = [key for key in listed if key.name.startswith(f"{RUN} page")]
        same([key.name for key in ours], [f"{RUN} page {number:03}" for number in reversed(range(120))])
        same(len({key.hash for key in listed}), len(listed))

    def refusals():
        unknown = "0" * 64
        refused(errors.BadRequestResponseError, 400, lambda: manager.keys.create(name=""))
        # An enum it does not know the SDK leaves out of the request, so a wrong limit_reset cannot be tried here.
        refused(errors.BadRequestResponseError, 400, lambda: manager.keys.create(name="n", limit=-1))
        refused(errors.BadRequestResponseError, 400, lambda: manager.keys.create(name="n", workspace_id="nowhere"))
        nothing = lambda: manager.keys.update(hash=made.hash)
        refused(errors.BadRequestResponseError, 400, nothing, "No update fields provided")
        refused(errors.NotFoundResponseError, 404, lambda: manager.keys.get(hash=unknown))
        refused(errors.NotFoundResponseError, 404, lambda: manager.keys.update(hash=unknown, name="n"))
        refused(errors.NotFoundResponseError, 404, lambda: manager.keys.delete(hash=unknown))
        elsewhere = "00000000-0000-4000-8000-000000000000"
        refused(errors.NotFoundResponseError, 404, lambda: manager.keys.list(workspace_id=elsewhere))
        refused(errors.BadRequestResponseError, 400, lambda: manager.keys.list(workspace_id="default"))

    def access():
        stranger, ordinary = Client(url, "sk-or-v1-nobody"), Client(url, made.plaintext)
        refused(errors.UnauthorizedResponseError, 401, stranger.keys.list, "User not found.")
        refused(errors.UnauthorizedResponseError, 401, stranger.keys.get_current_key_metadata)
        only = "Only management keys can perform this operation"
        refused(errors.ForbiddenResponseError, 403, lambda: ordinary.keys.create(name="n"), only)
        refused(errors.ForbiddenResponseError, 403, ordinary.workspaces.list, only)
        refused(errors.ForbiddenResponseError, 403, ordinary.guardrails.list, only)
        # The SDK declares no 403 for these two; the status is what counts.
        refused(errors.OpenRouterDefaultError, 403, ordinary.keys.list, only)
        refused(errors.OpenRouterDefaultError, 403, lambda: ordinary.keys.delete(hash=made.hash), only)

    check("POST /keys with everything: plaintext beside data, hash its SHA-256", create)
    check("POST /keys with a name alone", least)
    check("GET /keys/{hash} prints no plaintext", read)
    check("PATCH /keys/{hash}: set, and null is not absent", update)
    check("GET /key with the created plaintext", own)
    check("GET /key with the management key", own_of_management)
    check("GET /keys hides disabled and expired keys unless asked", hidden)
    check("GET /keys in pages of a hundred, newest first, without a total", pages)
    check("refusals of /keys come as the SDK's errors", refusals)
    check("401 for strangers, 403 for ordinary keys", access)


def check_workspaces(check, manager):
    def lists():
        seen, page = [], manager.workspaces.list(limit=1)
        while page is not None:
            result = manager.listed(page)
            seen += [workspace.slug for workspace in result.data]
            total, page = result.total_count, page.next()
        same((seen, total), (["default"], 1))

    check("GET /workspaces, paged by the SDK", lists)


def check_guardrails(check, url, manager, made):
    def create():
        answer = manager.typed(
            manager.guardrails.create(
                name=f"{RUN} basic",
                allowed_models=[FREE, DEAR],
                allowed_providers=["venice", "anthropic"],
                enforce_zdr_anthropic=True,
                enable_paid_model_training=False,
            )
        ).data
        made.guardrails.append(answer.id)
        same(answer.allowed_models, [FREE, "anthropic/claude-4.5-opus-20251124"])
        same((answer.enforce_zdr_anthropic, answer.enable_paid_model_training, answer.limit_usd), (True, False, None))

    def least():
        answer = manager.typed(manager.guardrails.create(name=f"{RUN} least")).data
        made.guardrails.append(answer.id)
        same((answer.allowed_models, answer.allowed_providers), (None, None))

    def read_and_update():
        basic = made.guardrails[0]
        same(manager.typed(manager.guardrails.get(id=basic)).data.name, f"{RUN} basic")
        answer = manager.typed(manager.guardrails.update(id=basic, allowed_models=[FREE], allowed_providers=None)).data
        same((answer.allowed_models, answer.allowed_providers, answer.name), ([FREE], None, f"{RUN} basic"))

    def lists():
        seen, page = [], manager.guardrails.list(limit=1)
        while page is not None:
            result = manager.listed(page)
            seen += [guardrail.id for guardrail in result.data]
            total, page = result.total_count, page.next()
        same((len(seen), set(seen)), (total, set(made.guardrails)))

    def assign():
        first, second = made.guardrails
        hashes = made.keys[:60]
        same(manager.typed(manager.guardrails.bulk_assign_keys(id=second, key_hashes=hashes)).assigned_count, 60)
        same(manager.guardrails.bulk_assign_keys(id=first, key_hashes=hashes).assigned_count, 60)
        same(manager.listed(manager.guardrails.list_guardrail_key_assignments(id=second)).total_count, 0)
        seen, page = [], manager.guardrails.list_guardrail_key_assignments(id=first)
        while page is not None:
            result = manager.listed(page)
            seen += [row.key_hash for row in result.data]
            same((result.total_count, {row.guardrail_id for row in result.data}), (60, {first}))
            page = page.next()
        same(set(seen), set(hashes))
        everywhere = manager.listed(manager.guardrails.list_key_assignments(limit=100))
        assert {made.hash} <= {row.key_hash for row in everywhere.data} and everywhere.total_count >= 60

    def enforced():
        client = Client(url, made.plaintext)
        refused(errors.ForbiddenResponseError, 403, lambda: chat(client, DEAR))
        chat(client, FREE)
        manager.guardrails.bulk_assign_keys(id=made.guardrails[1], key_hashes=[made.hash])

    def refusals():
        unknown = "00000000-0000-4000-8000-000000000000"
        refused(errors.BadRequestResponseError, 400, lambda: manager.guardrails.create(name="n", allowed_models=[]))
        refused(errors.BadRequestResponseError, 400, lambda: manager.guardrails.list(limit=101))
        refused(errors.NotFoundResponseError, 404, lambda: manager.guardrails.get(id=unknown))
        refused(errors.NotFoundResponseError, 404, lambda: manager.guardrails.update(id=unknown, name="n"))
        assign_unknown = lambda: manager.guardrails.bulk_assign_keys(id=unknown, key_hashes=[made.hash])
        refused(errors.NotFoundResponseError, 404, assign_unknown)
        none = lambda: manager.guardrails.bulk_assign_keys(id=made.guardrails[0], key_hashes=[])
        refused(errors.BadRequestResponseError, 400, none)

    check("POST /guardrails with every rule", create)
    check("POST /guardrails with a name alone", least)
    check("GET and PATCH /guardrails/{id}: collections are replaced, null clears", read_and_update)
    check("GET /guardrails, paged by the SDK", lists)
    check("assignments: at most one guardrail a key, lists with totals", assign)
    check("a guardrail shows on inference", enforced)
    check("refusals of /guardrails come as the SDK's errors", refusals)


def chat(client, model, **more):
    messages = [{"role": "user", "content": "Hello"}]
    return client.sdk.chat.send(model=model, messages=messages, max_tokens=more.pop("max_tokens", 10), **more)


def check_spending(check, url, manager, made):
    student = Client(url, made.plaintext)

    def completion():
        before = manager.keys.get(hash=made.hash).data
        total = manager.typed(manager.sdk.credits.get_credits()).data
        answer = student.typed(chat(student, DEAR, max_tokens=1000))
        same((answer.usage.completion_tokens, answer.choices[0].finish_reason), (1000, "length"))
        assert answer.usage.cost > 0.025
        after = manager.typed(manager.keys.get(hash=made.hash)).data
        same(round(after.usage - before.usage, 9), answer.usage.cost)
        same(round(after.limit - after.limit_remaining, 9), round(after.usage_daily, 9))
        assert after.last_used_at is not None
        same(round(manager.sdk.credits.get_credits().data.total_usage - total.total_usage, 9), answer.usage.cost)

    def stream():
        text, cost, finish = "", None, None
        with chat(student, DEAR, stream=True) as events:
            for event in events:
                chunk = event.data if hasattr(event, "data") else event
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    finish = choice.finish_reason or finish
                cost = chunk.usage.cost if chunk.usage else cost
        assert "tokens" in text and cost > 0 and finish == "length", (text, cost, finish)

    def credits_trap():
        data = student.typed(student.sdk.credits.get_credits()).data
        same((data.total_credits, data.total_usage), (0, 0))

    def limits():
        manager.keys.update(hash=made.hash, limit=0.05, limit_reset=None)
        body = refused(errors.PaymentRequiredResponseError, 402, lambda: chat(student, DEAR, max_tokens=50_000), "can only afford")
        same(body["metadata"]["limit_source"], "openrouter_key_limit")
        manager.keys.update(hash=made.hash, limit=0.01)
        same(manager.keys.get(hash=made.hash).data.limit_remaining <= 0, True)
        body = refused(errors.ForbiddenResponseError, 403, lambda: chat(student, DEAR), "Key limit exceeded (total limit)")
        same(body["metadata"]["limit_source"], "openrouter_key_limit")
        manager.keys.update(hash=made.hash, limit=None)

    def who():
        refused(errors.UnauthorizedResponseError, 401, lambda: chat(manager, FREE), "User not found.")
        refused(errors.BadRequestResponseError, 400, lambda: chat(student, "nobody/nothing"))
        manager.keys.update(hash=made.hash, disabled=True)
        refused(errors.UnauthorizedResponseError, 401, lambda: chat(student, FREE))
        manager.keys.update(hash=made.hash, disabled=False)
        chat(student, FREE)

    check("POST /chat/completions charges key and account by usage.cost", completion)
    check("POST /chat/completions as a stream", stream)
    check("GET /credits with an ordinary key answers zeros", credits_trap)
    check("a key limit is 402 while something is left and 403 when nothing is", limits)
    check("401 for management keys and disabled keys on inference", who)


def check_analytics(check, manager, made):
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = {
        "metrics": ["total_usage", "credits_usage", "byok_usage", "request_count"],
        "dimensions": ["api_key_id", "model"],
        "granularity": "day",
        "time_range": {"start": today - timedelta(days=1), "end": today + timedelta(days=1)},
        "order_by": {"field": "total_usage", "direction": "desc"},
        "limit": 10_000,
    }

    def query():
        answer = manager.typed(manager.sdk.analytics.query_analytics(**asked)).data
        rows = manager.raw["data"]["data"]
        same((answer.metadata.row_count, answer.metadata.truncated, answer.warnings), (len(rows), False, None))
        same({row["api_key_id"] for row in rows}, {f"{RUN} renamed"})
        same([row["model"] for row in rows], [DEAR, FREE])
        used = manager.keys.get(hash=made.hash).data.usage
        same(round(sum(row["credits_usage"] for row in rows), 9), round(used, 9))
        assert all(isinstance(row["request_count"], str) and int(row["request_count"]) for row in rows), rows
        assert {row["date__day"] for row in rows} <= {f"{today - timedelta(days=1):%Y-%m-%d}", f"{today:%Y-%m-%d}"}

    def cut_off():
        answer = manager.typed(manager.sdk.analytics.query_analytics(**{**asked, "limit": 1})).data
        same((answer.metadata.row_count, answer.metadata.truncated), (1, True))

    def activity():
        # Everything was used today, which activity leaves out.
        yesterday = {"date_": f"{today - timedelta(days=1):%Y-%m-%d}"}
        same(manager.typed(manager.sdk.analytics.get_user_activity(request=yesterday)).data, [])

    def refusals():
        student, wrong = Client(manager.url, made.plaintext).sdk.analytics, {**asked, "metrics": ["money"]}
        only = "Only management keys can perform this operation"
        refused(errors.ForbiddenResponseError, 403, lambda: student.query_analytics(**asked), only)
        refused(errors.ForbiddenResponseError, 403, student.get_user_activity, only)
        refused(errors.BadRequestResponseError, 400, lambda: manager.sdk.analytics.query_analytics(**wrong))
        three = {**asked, "dimensions": ["api_key_id", "model", "user"]}
        refused(errors.BadRequestResponseError, 400, lambda: manager.sdk.analytics.query_analytics(**three))
        not_over = lambda: manager.sdk.analytics.get_user_activity(request={"date_": f"{today:%Y-%m-%d}"})
        refused(errors.BadRequestResponseError, 400, not_over)

    check("POST /analytics/query by key, model and day", query)
    check("POST /analytics/query says what it leaves out", cut_off)
    check("GET /activity tells completed days", activity)
    check("refusals of analytics come as the SDK's errors", refusals)


def check_deleting(check, url, manager, made):
    def everything():
        for key in made.keys:
            same(manager.typed(manager.keys.delete(hash=key)).DELETED, True)

    def gone():
        refused(errors.NotFoundResponseError, 404, lambda: manager.keys.delete(hash=made.hash))
        refused(errors.UnauthorizedResponseError, 401, Client(url, made.plaintext).keys.get_current_key_metadata)
        left = manager.typed(manager.keys.list(include_disabled=True, include_expired=True)).data
        same([key.name for key in left if RUN in key.name], [])

    check("DELETE /keys/{hash} answers 200 with a body", everything)
    check("what was deleted is gone", gone)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("url", help="base URL, with its path")
    arguments.add_argument("--management-key-file", required=True, type=Path)
    asked = arguments.parse_args()
    manager = Client(asked.url.rstrip("/"), asked.management_key_file.read_text(encoding="utf-8").rstrip("\n"))
    made = argparse.Namespace(keys=[], guardrails=[], plaintext="", hash="")
    check = Check()
    check_keys(check, asked.url, manager, made)
    check_workspaces(check, manager)
    check_guardrails(check, asked.url, manager, made)
    check_spending(check, asked.url, manager, made)
    check_analytics(check, manager, made)
    check_deleting(check, asked.url, manager, made)
    return check.done()


if __name__ == "__main__":
    sys.exit(main())

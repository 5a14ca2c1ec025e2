"""Uses the simulated provider through its official SDK, a client that none of us wrote: `provider_sdk.py <ready line of a bursar>`.

Every answer goes through the SDK's typed models, so one of the wrong shape fails its validation, and is walked for values and
fields that the SDK does not know. Only what the product calls is tried; the first thing that is wrong ends it.
"""

import hashlib
import json
import sys
import urllib.request
from datetime import UTC, datetime, timedelta

DEAR, FREE = "anthropic/claude-opus-4.5", "meta-llama/llama-3.3-70b-instruct:free"
# Fields that the provider sends and the SDK's models lack. A row of a report has the requested fields.
BESIDE_THE_MODELS = {
    "ChatResult": {"provider"},
    "ChatChoice": {"native_finish_reason"},
    "QueryAnalyticsData1": {"date__day", "api_key_id", "model", "total_usage", "credits_usage", "byok_usage", "request_count"},
}


def direct(request):
    """The JSON that a loopback server answers, to which no configured proxy applies."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


def management_key(ready):
    """The management key, which is in the bundle's secret."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "secretsmanager.GetSecretValue",
        # The stand-in accepts any credentials.
        "Authorization": f"AWS4-HMAC-SHA256 Credential=any/20261120/{ready['region']}/secretsmanager/aws4_request, SignedHeaders=host, Signature=0",
    }
    return direct(urllib.request.Request(ready["secretsmanager"], json.dumps({"SecretId": ready["secret"]}).encode(), headers))["SecretString"]


class Client:
    """The SDK with one key; remembers the last answer as it came over the wire."""

    def __init__(self, url, key):
        import httpx
        from openrouter import OpenRouter

        http = httpx.Client(trust_env=False, event_hooks={"response": [self.remember]})
        self.sdk = OpenRouter(api_key=key, server_url=url, client=http, timeout_ms=20_000, retry_config=None)
        self.keys, self.guardrails = self.sdk.api_keys, self.sdk.guardrails

    def remember(self, response):
        self.raw = json.loads(response.read())

    def typed(self, answer):
        """The answer, after a check that the SDK knows every part of it."""
        walk(answer, self.raw, type(answer).__name__)
        return answer

    def chat(self, model, tokens=10):
        return self.sdk.chat.send(model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=tokens)

    def pages(self, page):
        """All rows of a list that the SDK pages by itself."""
        while page is not None:
            yield from self.typed(page.result).data
            page = page.next()


def walk(value, raw, path):
    from openrouter.types import UnrecognizedStr
    from pydantic import BaseModel

    assert not isinstance(value, UnrecognizedStr), f"{path}: the SDK does not know {value!r}"
    if isinstance(value, BaseModel):
        known = {field.alias or name: name for name, field in type(value).model_fields.items()}
        unknown = set(raw) - set(known) - BESIDE_THE_MODELS.get(type(value).__name__, set())
        assert not unknown, f"{path}: the SDK does not know the fields {sorted(unknown)}"
        for alias in set(known) & set(raw):
            # Not by its attribute, since a deprecated one warns.
            walk(value.__dict__[known[alias]], raw[alias], f"{path}.{alias}")
    elif isinstance(value, list):
        for index, (item, raw_item) in enumerate(zip(value, raw, strict=True)):
            walk(item, raw_item, f"{path}[{index}]")


def refused(status, run, message=""):
    """The SDK's own error must come, with the code in the body equal to the status."""
    from openrouter import errors

    try:
        run()
    except errors.OpenRouterError as refusal:
        body = json.loads(refusal.body)["error"]
        assert (refusal.status_code, body["code"]) == (status, status) and message in body["message"], refusal.body
        return body.get("metadata")
    raise AssertionError("it was not refused")


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def keys(url, manager):
    """Makes a key with everything and 120 others, and returns the key of the first with all hashes."""
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=90)
    made = manager.typed(manager.keys.create(name="full", limit=20.5, limit_reset="monthly", include_byok_in_limit=True, expires_at=ends))
    data = made.data
    same(data.hash, hashlib.sha256(made.key.encode()).hexdigest())
    same((data.limit, data.limit_remaining, data.limit_reset, data.disabled, data.usage), (20.5, 20.5, "monthly", False, 0))
    same(manager.typed(manager.keys.get(hash=data.hash)).data.name, "full")
    assert made.key not in json.dumps(manager.raw), "a plaintext is told a second time"
    answer = manager.typed(manager.keys.update(hash=data.hash, name="renamed", limit=None, limit_reset=None)).data
    same((answer.limit, answer.limit_reset, answer.name, answer.expires_at), (None, None, "renamed", ends))
    manager.keys.update(hash=data.hash, limit=20, limit_reset="daily")
    student = Client(url, made.key)
    own = student.typed(student.keys.get_current_key_metadata()).data
    same((own.is_management_key, own.limit, own.limit_reset), (False, 20, "daily"))
    same(manager.typed(manager.keys.get_current_key_metadata()).data.is_management_key, True)
    others = [manager.keys.create(name=f"page {number:03}").data.hash for number in range(120)]
    first = manager.typed(manager.keys.list(include_disabled=True, include_expired=True)).data
    same((set(manager.raw), [key.hash for key in first]), ({"data"}, others[:19:-1]))
    rest = manager.keys.list(include_disabled=True, include_expired=True, offset=100).data
    assert [key.hash for key in rest][:21] == [*others[19::-1], data.hash], "a page leaves out or repeats a key"
    manager.keys.update(hash=others[0], disabled=True)
    same(others[0] in {key.hash for key in manager.keys.list(include_disabled=False, offset=100).data}, False)
    only = "Only management keys can perform this operation"
    refused(400, lambda: manager.keys.create(name=""))
    refused(400, lambda: manager.keys.update(hash=data.hash), "No update fields provided")
    refused(404, lambda: manager.keys.get(hash="0" * 64))
    refused(401, Client(url, "sk-or-v1-nobody").keys.list, "User not found.")
    refused(403, student.keys.list, only)
    refused(403, lambda: student.keys.delete(hash=data.hash), only)
    return student, [data.hash, *others]


def guardrails(manager, student, hashes):
    first = manager.typed(manager.guardrails.create(name="basic", allowed_models=[FREE, DEAR], allowed_providers=["venice", "anthropic"], enforce_zdr_anthropic=True, enable_paid_model_training=False)).data.id
    second = manager.typed(manager.guardrails.create(name="least")).data.id
    answer = manager.typed(manager.guardrails.update(id=first, allowed_models=[FREE], allowed_providers=None)).data
    same((answer.allowed_models, answer.allowed_providers, answer.name), ([FREE], None, "basic"))
    assert {first, second} <= {each.id for each in manager.pages(manager.guardrails.list(limit=1))}
    for guardrail in (second, first):
        same(manager.typed(manager.guardrails.bulk_assign_keys(id=guardrail, key_hashes=hashes[:60])).assigned_count, 60)
    assigned = lambda id: {row.key_hash for row in manager.pages(manager.guardrails.list_guardrail_key_assignments(id=id))}  # noqa: E731
    same((assigned(first), assigned(second)), (set(hashes[:60]), set()))
    refused(403, lambda: student.chat(DEAR))
    student.chat(FREE)
    manager.guardrails.bulk_assign_keys(id=second, key_hashes=hashes[:1])
    refused(400, lambda: manager.guardrails.create(name="n", allowed_models=[]))
    refused(404, lambda: manager.guardrails.update(id="00000000-0000-4000-8000-000000000000", name="n"))


def spending(manager, student, key, today):
    before, total = manager.keys.get(hash=key).data, manager.typed(manager.sdk.credits.get_credits()).data
    cost = student.typed(student.chat(DEAR, 1000)).usage.cost
    after = manager.typed(manager.keys.get(hash=key)).data
    assert cost > 0.025 and after.last_used_at is not None
    same((round(after.usage - before.usage, 9), round(after.limit - after.limit_remaining, 9)), (cost, round(after.usage_daily, 9)))
    same(round(manager.sdk.credits.get_credits().data.total_usage - total.total_usage, 9), cost)
    manager.keys.update(hash=key, limit=0.05, limit_reset=None)
    same(refused(402, lambda: student.chat(DEAR, 50_000), "can only afford")["limit_source"], "openrouter_key_limit")
    manager.keys.update(hash=key, limit=0.01)
    same(refused(403, lambda: student.chat(DEAR), "Key limit exceeded")["limit_source"], "openrouter_key_limit")
    manager.keys.update(hash=key, limit=None, disabled=True)
    refused(401, lambda: student.chat(FREE))
    refused(401, lambda: manager.chat(FREE), "User not found.")
    manager.keys.update(hash=key, disabled=False)
    asked = {
        "metrics": ["total_usage", "credits_usage", "byok_usage", "request_count"],
        "dimensions": ["api_key_id", "model"],
        "granularity": "day",
        "time_range": {"start": today - timedelta(days=1), "end": today + timedelta(days=2)},
        "order_by": {"field": "total_usage", "direction": "desc"},
    }
    answer = manager.typed(manager.sdk.analytics.query_analytics(**asked, limit=10_000)).data
    rows = manager.raw["data"]["data"]
    same((answer.metadata.row_count, answer.metadata.truncated, [row["model"] for row in rows]), (2, False, [DEAR, FREE]))
    same(round(sum(row["credits_usage"] for row in rows), 9), round(manager.keys.get(hash=key).data.usage, 9))
    same(manager.typed(manager.sdk.analytics.query_analytics(**asked, limit=1)).data.metadata.truncated, True)


def main():
    ready = json.loads(sys.argv[1])
    manager = Client(ready["provider"], management_key(ready))
    # Before anything is used: by the end of this it may be tomorrow.
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    student, hashes = keys(ready["provider"], manager)
    guardrails(manager, student, hashes)
    spending(manager, student, hashes[0], today)
    for each in hashes:
        same(manager.typed(manager.keys.delete(hash=each)).DELETED, True)
    refused(404, lambda: manager.keys.delete(hash=hashes[0]))
    refused(401, student.keys.get_current_key_metadata)
    print("provider-sdk: keys, guardrails, completions, credits, reports and refusals are what the SDK expects")


if __name__ == "__main__":
    main()

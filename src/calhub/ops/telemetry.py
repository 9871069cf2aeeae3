"""OpenTelemetry: spans are sent to the collector that the standard variable ``OTEL_EXPORTER_OTLP_ENDPOINT`` names.

Needs the extra ``otel``. All of OpenTelemetry's own variables apply.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

from calhub.ops.trace import Facts, Listener, listeners

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


@cache  # once in a process
def start() -> None:
    """Send spans from now on, if an endpoint is set. Raises ImportError where the extra is missing."""
    if not os.environ.get(ENDPOINT):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "calhub")}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    listeners.append(listener(provider))


def listener(provider: TracerProvider) -> Listener:
    """Makes an OpenTelemetry span of each of ours; one that failed says so, without the error's message."""
    from opentelemetry.trace import StatusCode

    tracer = provider.get_tracer("calhub")

    @contextmanager
    def listen(name: str, facts: Facts) -> Iterator[None]:
        with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            finally:
                span.set_attributes({key: value for key, value in facts.items() if value is not None})
                if facts.get("status") == "failed":
                    span.set_status(StatusCode.ERROR)

    return listen

"""What can be seen from outside: metrics, traces that cross Kafka, logs without personal data."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Histogram
from structlog.tracebacks import ExceptionDictTransformer

log: Any = structlog.get_logger()

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

COMMANDS = Counter("houqin_requests_total", "Outcomes", ["service", "operation", "outcome"])
SECONDS = Histogram("houqin_request_seconds", "Answers", ["service", "operation"], buckets=_BUCKETS)
APPENDS = Histogram("houqin_append_seconds", "Time of one append", ["service"], buckets=_BUCKETS)

_propagator = TraceContextTextMapPropagator()


@dataclass(slots=True)
class _Tracing:
    """Our own provider, not the process's: the web framework would open a second span for each
    request with that one. `share` of the traces that begin here are kept.
    """

    tracer: trace.Tracer
    share: float = 0.0


_tracing = _Tracing(trace.NoOpTracer())


def configure(service: str, trace_share: float, log_level: str) -> None:
    """Sets logging and tracing up for this process; spans leave it only if OTLP is configured."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without locals: they hold what people sent, and the database's password.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"houqin-{service}"}),
        sampler=ALWAYS_ON,  # who is kept is chosen before a span is made
    )
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        # Imported only where it is used: it costs every process 15 MB.
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(trace_exporter.OTLPSpanExporter()))
    _tracing.tracer, _tracing.share = provider.get_tracer("houqin"), trace_share


def answered(service: str, operation: str, began: float, status: int, slug: str) -> None:
    """Counts and times one answer, begun at that `time.perf_counter`; refusals are logged."""
    _outcomes(service, operation, slug or str(status)).inc()
    _seconds(service, operation).observe(time.perf_counter() - began)
    if slug:
        log.info("refused", operation=operation, slug=slug, status=status)


# Looking a metric up by its labels costs more than counting; there are few of them.
_outcomes, _seconds = cache(COMMANDS.labels), cache(SECONDS.labels)


def span(operation: str, parent: str | None) -> AbstractContextManager[object]:
    """The span of a request, if its trace is kept: as its caller decided, else by chance."""
    if parent is None:
        context, kept = Context(), random.random() < _tracing.share  # noqa: S311 - a sample
    else:
        context = _propagator.extract({"traceparent": parent})
        kept = _span_in(context).trace_flags.sampled
    if not kept:
        return nullcontext()
    return _tracing.tracer.start_as_current_span(operation, context, trace.SpanKind.SERVER)


def traceparent() -> str | None:
    """The W3C trace context of the current span, as it goes into the log and over Kafka; None
    where the trace is not kept.
    """
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def batch(name: str, parents: Iterable[str]) -> AbstractContextManager[object]:
    """One span over a batch of events, linked to the traces that they came from."""
    spans = (_span_in(_propagator.extract({"traceparent": parent})) for parent in parents)
    links = [trace.Link(span) for span in spans if span.trace_flags.sampled]
    if not links:
        return nullcontext()
    kind = trace.SpanKind.CONSUMER
    return _tracing.tracer.start_as_current_span(name, Context(), kind, links=links)


def _span_in(context: Context) -> trace.SpanContext:
    return trace.get_current_span(context).get_span_context()

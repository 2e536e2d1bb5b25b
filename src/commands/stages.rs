//! The stages of the run that is under way: which one is entered, and what each has taken.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// Names of the spans that are stages.
const STAGES: [&str; 11] = [
    "ingest", "clean", "orders", "checks", "rfm", "score", "segment", "model", "evaluate",
    "artefact", "publish",
];

/// The entered stages with the time of entry, innermost last. A model that is fitted is part of the
/// name.
static ENTERED: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());

/// Name of the spans in which a model is fitted.
const FIT: &str = "fit";

/// The closed stages, in the order of their first end.
static DONE: Mutex<Vec<StageTotal>> = Mutex::new(Vec::new());

/// What a stage has taken and processed in all its spans.
pub(super) struct StageTotal {
    pub(super) name: &'static str,
    pub(super) took: Duration,
    pub(super) rows: Option<u64>,
}

/// The innermost stage that is entered, and when it was.
pub(super) fn entered() -> Option<(String, Instant)> {
    lock(&ENTERED).last().cloned()
}

/// The closed stages, which are forgotten.
pub(super) fn take_done() -> Vec<StageTotal> {
    std::mem::take(&mut *lock(&DONE))
}

/// Tracks the entered stages, and what each has taken.
pub(super) struct Stages;

/// Data of a stage's span.
struct StageData {
    /// The stage, with the model that is fitted.
    label: String,
    started: Instant,
    rows: Option<u64>,
}

/// Stores the field `rows` of a span or an event, and the field `model` of a span.
impl Visit for StageData {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "model" {
            self.label = format!("model {value}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows" {
            self.rows = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Updates the data of a span if it is a stage.
fn update<'a, S: LookupSpan<'a>>(
    span: Option<SpanRef<'a, S>>,
    update: impl FnOnce(&mut StageData),
) {
    if let Some(span) = span {
        span.extensions_mut().get_mut::<StageData>().map(update);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stages {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(is_tracked) {
            let label = span.name().to_owned();
            let mut data = StageData { label, started: Instant::now(), rows: None };
            attributes.record(&mut data);
            span.extensions_mut().insert(data);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        update(context.span(id), |data| values.record(data));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        update(context.event_span(event), |data| event.record(data));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).filter(is_tracked);
        update(span, |data| lock(&ENTERED).push((data.label.clone(), Instant::now())));
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if context.span(id).is_some_and(|span| is_tracked(&span)) {
            lock(&ENTERED).pop();
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id).filter(|span| span.name() != FIT) else { return };
        let extensions = span.extensions();
        let Some(data) = extensions.get::<StageData>() else { return };
        let mut done = lock(&DONE);
        let idx = done.iter().position(|stage| stage.name == span.name()).unwrap_or_else(|| {
            done.push(StageTotal { name: span.name(), took: Duration::ZERO, rows: None });
            done.len() - 1
        });
        done[idx].took += data.started.elapsed();
        if let Some(rows) = data.rows {
            *done[idx].rows.get_or_insert(0) += rows;
        }
    }
}

/// Whether a span is a stage, or a model that is fitted.
fn is_tracked<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> bool {
    STAGES.contains(&span.name()) || span.name() == FIT
}

/// Locks a mutex, even if a thread has panicked while it held the lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

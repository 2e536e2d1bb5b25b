//! The first half of a session: from files to order facts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use polars::prelude::*;
use tracing::{info, info_span, warn};

use super::{Session, plausibility};
use crate::checks;
use crate::clean::{self, MarkedLines, Pairs, ReturnRule, Step};
use crate::columns::{AMOUNT, CATEGORY, CUSTOMER_ID, PRODUCT_ID, QUANTITY, UNIT_PRICE};
use crate::error::Error;
use crate::evaluate::{Groups, UpliftParams};
use crate::ingest::cell::reads_column;
use crate::ingest::{self, Format, Grain, Lines, LookupTable, Source, scan_error};
use crate::model::Target;
use crate::orders::{self, ExtraAggregates, LineMetric, OrderFacts, Rejects, ScanOptions};
use crate::pipeline::Pipeline;
use crate::progress::{Extent, ScanObserver};
use crate::publish;

/// Tables besides the transactions.
#[derive(Debug, Default)]
pub(crate) struct SideInputs {
    pub(crate) customers: Option<LookupTable>,
    /// Labels by the model that learns them.
    pub(crate) labels: BTreeMap<String, LookupTable>,
    /// Groups by campaign, in the order of `evaluate.uplift`.
    pub(crate) groups: Vec<Groups>,
}

impl SideInputs {
    pub(crate) fn read(p: &Pipeline) -> Result<Self, Error> {
        let _span = info_span!("ingest").entered();
        let customers = p.ingest.customers.as_ref();
        let customers =
            customers.map(|params| LookupTable::read(params, CUSTOMER_ID)).transpose()?;
        if let Some(LookupTable { rows, without_key, repeated_keys, .. }) = customers
            && without_key + repeated_keys > 0
        {
            warn!(
                rows,
                without_key,
                repeated_keys,
                "customers: rows without a key are ignored; of repeated keys the first row counts"
            );
        }
        let mut labels = BTreeMap::new();
        for model in &p.models {
            let Target::Labels(params) = &model.target else { continue };
            let table = LookupTable::read(params, CUSTOMER_ID)?;
            let LookupTable { without_key, repeated_keys, .. } = table;
            if without_key + repeated_keys > 0 {
                warn!(
                    model = model.name,
                    without_key,
                    repeated_keys,
                    "labels: rows without a customer are ignored; of repeated customers the first row counts"
                );
            }
            labels.insert(model.name.clone(), table);
        }
        let groups = p.uplift.iter().map(UpliftParams::read).collect::<Result<_, _>>();
        Ok(Self { customers, labels, groups: groups.map_err(Error::Usage)? })
    }
}

impl Session<'_> {
    /// `ingest`: the lines with the pipeline's columns.
    pub(crate) fn lines(&self, grain: Grain) -> Result<Lines, Error> {
        let observer: Arc<dyn ScanObserver> = self.observer.clone();
        ingest::lines(&self.p.ingest, grain, &observer).map_err(scan_error(&self.p.ingest))
    }

    /// `ingest` and `clean`: the lines with their outcomes.
    pub(crate) fn marked_lines(
        &self,
        grain: Grain,
        pairs: Option<&Pairs>,
    ) -> Result<MarkedLines, Error> {
        let lines = self.lines(grain)?;
        clean::mark(&self.p.clean, lines, pairs).map_err(Error::engine("clean"))
    }

    /// `clean`: pairs returns with purchases, if returns are matched. Reads the source twice: for
    /// the returns, and for the lines of their customers and products.
    pub(crate) fn pairs(&self) -> Result<Option<Pairs>, Error> {
        if !self.p.clean.iter().any(Step::matches_returns) {
            return Ok(None);
        }
        let with_returns = orders::with_returns(&self.marked_lines(Grain::Rows, None)?)
            .map_err(scan_error(&self.p.ingest))?;
        let candidates = orders::candidates(&self.marked_lines(Grain::Rows, None)?, with_returns)
            .map_err(scan_error(&self.p.ingest))?;
        let _span = info_span!("clean").entered();
        let pairs = Pairs::of(&candidates).map_err(|error| match error {
            PolarsError::ComputeError(reason) => Error::Data(reason.to_string()),
            error => Error::engine("clean")(error),
        })?;
        info!(parts = pairs.table.height(), "returns matched");
        Ok(Some(pairs))
    }

    /// `orders`: the one scan of the source, and the reconciliation of its rows.
    pub(super) fn scan(&self) -> Result<OrderFacts, Error> {
        // A side input that cannot be read fails before the scan.
        self.side_inputs()?;
        let pairs = self.pairs()?;
        let lines = self.marked_lines(self.grain()?, pairs.as_ref())?;
        self.scan_lines(lines, pairs)
    }

    /// What a line of the scan stands for: a run of rows, unless something compares single rows or
    /// reads their numbers.
    pub(crate) fn grain(&self) -> Result<Grain, Error> {
        let p = self.p;
        let numbers = [QUANTITY, UNIT_PRICE, AMOUNT];
        let reads_numbers = |expr: &Expr| numbers.iter().any(|name| reads_column(expr, name));
        let is_single_step = |step: &Step| match step {
            Step::DropDuplicates(_) => true,
            Step::Where(predicate)
            | Step::Cancellations { rule: ReturnRule::When(predicate), .. }
                if reads_numbers(&predicate.keep) =>
            {
                true
            }
            _ => step.matches_returns(),
        };
        let is_single_metric = |metric: &LineMetric| match metric {
            LineMetric::Duplicates { .. } => true,
            LineMetric::Lines(predicate) => reads_numbers(predicate),
        };
        // Customers differ, and each line is converted at a rate and rounded.
        let is_single = p.ingest.sources.iter().any(|source| source.is_summary)
            || p.ingest.rates.is_some()
            || p.clean.iter().any(is_single_step)
            || p.ingest.filters().any(|filter| reads_numbers(&filter.keep))
            || checks::line_metrics(&p.checks)?.iter().any(is_single_metric);
        Ok(if is_single { Grain::Rows } else { Grain::Runs })
    }

    fn scan_lines(&self, lines: MarkedLines, pairs: Option<Pairs>) -> Result<OrderFacts, Error> {
        let p = self.p;
        let engine = Error::engine;
        let line_metrics = checks::line_metrics(&p.checks)?;
        let _span = info_span!("orders").entered();
        let options = ScanOptions {
            money: &p.ingest.money,
            has_orders: p.ingest.has_orders(),
            pairs,
            extra: extra_aggregates(p),
        };
        let rejects = self.rejects.as_deref().map(|path| reject_names(p, path));
        let chunks = lines.lines.clone();
        self.observer.scan_started(extent(p));
        let facts = orders::scan(lines, options, &line_metrics, rejects.as_ref())
            .map_err(scan_error(&p.ingest))?;
        let rows = facts.rows_by_reason().map_err(engine("orders"))?.iter().sum::<u64>();
        info!(rows, "source read");
        reconcile(chunks.promised_rows(), rows)?;
        let unusable = plausibility::unusable(p, &facts, rejects.as_ref());
        match unusable.map_err(engine("orders"))? {
            Some(message) => Err(Error::Data(message)),
            None => Ok(facts),
        }
    }
}

/// Compares the rows that the sources promise with those that arrived: no chunk may be lost.
fn reconcile(promised: u64, arrived: u64) -> Result<(), Error> {
    if promised == arrived {
        Ok(())
    } else {
        Err(Error::Data(format!("the source has {promised} rows, but {arrived} arrived")))
    }
}

/// Size of the source, as far as it is known before it is read.
fn extent(p: &Pipeline) -> Option<Extent> {
    let sources = &p.ingest.sources;
    let files = || sources.iter().flat_map(|source| &source.set.files);
    let all_csv = sources.iter().all(|source| source.set.format == Format::Csv);
    if all_csv && files().all(|file| file.name.to_lowercase().ends_with(".csv")) {
        let sizes = files().filter_map(|file| Some(file.path.metadata().ok()?.len()));
        return Some(Extent::Bytes(sizes.sum()));
    }
    files().map(|file| file.rows).sum::<Option<u64>>().map(Extent::Rows)
}

/// The aggregates per product and category that later stages need.
pub(crate) fn extra_aggregates(p: &Pipeline) -> ExtraAggregates {
    ExtraAggregates {
        products: p.rfm.reads_column(PRODUCT_ID),
        categories: p.rfm.reads_column(CATEGORY),
    }
}

/// Names and metadata of the file of the rejects.
pub(crate) fn reject_names<'a>(p: &'a Pipeline, path: &'a Path) -> Rejects<'a> {
    let names = |source: &'a Source| {
        let files = source.set.files.iter();
        files.map(|file| source.query.is_none().then_some(file.name.as_str()))
    };
    Rejects {
        path,
        files: p.ingest.sources.iter().flat_map(names).collect(),
        metadata: publish::footer_metadata(&p.name, &p.definition_hash(), &p.ingest.money),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Request};
    use crate::ingest::ChunkSource;
    use crate::progress::Silent;

    /// Panics at the first chunk.
    struct Panicking(Arc<dyn ChunkSource>);

    impl ChunkSource for Panicking {
        fn next(&self) -> PolarsResult<Option<DataFrame>> {
            panic!("as if by a fault of a library")
        }

        fn empty(&self) -> PolarsResult<DataFrame> {
            self.0.empty()
        }

        fn promised_rows(&self) -> u64 {
            self.0.promised_rows()
        }
    }

    fn error_of(wrap: impl Fn(Arc<dyn ChunkSource>) -> Arc<dyn ChunkSource>) -> Error {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shop.yaml");
        let p = config::load(&Request { pipeline: Some(fixture), ..Request::default() }).unwrap();
        let session = Session::open(&p, Arc::new(Silent));
        let mut lines = session.marked_lines(Grain::Rows, None).unwrap();
        for file in &mut lines.lines.files {
            file.chunks = wrap(file.chunks.clone());
        }
        session.scan_lines(lines, None).unwrap_err()
    }

    #[test]
    fn panic_in_a_thread_fails_the_scan() {
        let error = error_of(|source| Arc::new(Panicking(source)));
        assert!(matches!(error, Error::Engine { .. }), "{error:?}");
        assert!(error.to_string().contains("a thread of the scan panicked"), "{error}");
    }
}

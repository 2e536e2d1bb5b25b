//! The published tables: one file each with its name, grain, and columns.
//!
//! The data dictionary, `docs/outputs.md`, the report's glossary and the tests of schemas read from
//! here.

use polars::prelude::{DataFrame, DataType, TimeUnit};

use crate::columns::{SNAPSHOT, matches_pattern, meaning};

/// Declares the file and the identifier of every table.
macro_rules! tables {
    ($($module:ident: $id:ident,)+) => {
        $(mod $module;)+

        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TableId {
            $($id),+
        }

        impl TableId {
            /// All published tables, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$id),+];

            pub fn table(self) -> &'static Table {
                match self {
                    $(Self::$id => &$module::TABLE,)+
                }
            }
        }
    };
}

tables! {
    segments: Segments,
    ledger: Ledger,
    rejects: Rejects,
    segment_profile: SegmentProfile,
    score_bins: ScoreBins,
    metrics: Metrics,
    confusion: Confusion,
    reliability: Reliability,
    lift: Lift,
    tracking: Tracking,
    cluster_quality: ClusterQuality,
    silhouettes: Silhouettes,
    clusters: Clusters,
    k_sweep: KSweep,
    migration: Migration,
    changes: Changes,
    drift: Drift,
    validity: Validity,
    sensitivity: Sensitivity,
    stability: Stability,
    cohorts: Cohorts,
    uplift: Uplift,
    returns: Returns,
    outliers: Outliers,
    top_categories: TopCategories,
}

/// Declares the rows of tables as structs, with the columns in order. `frame` collects rows into a
/// table.
macro_rules! table_rows {
    ($(
        $(#[$attribute:meta])*
        struct $row:ident $(<$lifetime:lifetime>)? {
            $(
                $(#[$field_attribute:meta])*
                $column:ident $(($measure:ident))? => $field:ident: $type:ty,
            )+
        }
    )+) => {$(
        $(#[$attribute])*
        pub(super) struct $row $(<$lifetime>)? {
            $($(#[$field_attribute])* pub(super) $field: $type,)+
        }

        impl $(<$lifetime>)? $row $(<$lifetime>)? {
            fn frame(rows: impl IntoIterator<Item = Self>) -> PolarsResult<DataFrame> {
                $(let mut $field = Vec::new();)+
                for row in rows {
                    $($field.push(row.$field);)+
                }
                df![$($column $(($measure))? => $field),+]
            }
        }
    )+};
}

pub(crate) use table_rows;

impl TableId {
    /// Name of the table: `ledger`.
    pub fn name(self) -> &'static str {
        self.table().name
    }

    /// File of the table in a run's folder. `segments` has one file per snapshot instead.
    pub fn file(self) -> String {
        format!("{}.parquet", self.name())
    }

    /// The table with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.name() == name)
    }
}

/// Declaration of a published table.
#[derive(Debug)]
pub struct Table {
    /// Name of the table and of its file.
    pub name: &'static str,
    /// What one row is.
    pub grain: &'static str,
    columns: &'static [Column],
}

/// Declaration of a column, or of all columns that follow a pattern.
#[derive(Debug, Clone, Copy)]
struct Column {
    name: &'static str,
    column_type: ColumnType,
    occurrence: Occurrence,
    meaning: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occurrence {
    Always,
    Optional,
    /// Any number of columns whose names follow a pattern of [`crate::columns`].
    Pattern,
    /// Any number of columns of the source, with any name and type.
    Attributes,
}

/// Declares the column types, and a constructor of columns for each.
macro_rules! column_types {
    ($($constructor:ident: $column_type:ident = $dtype:expr,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum ColumnType {
            $($column_type),+
        }

        impl ColumnType {
            fn dtype(self) -> DataType {
                match self {
                    $(Self::$column_type => $dtype,)+
                }
            }
        }

        $(const fn $constructor(name: &'static str) -> Column {
            Column::new(name, ColumnType::$column_type)
        })+
    };
}

column_types! {
    text: Text = DataType::String,
    date: Date = DataType::Date,
    timestamp: Timestamp = DataType::Datetime(TimeUnit::Microseconds, None),
    boolean: Boolean = DataType::Boolean,
    uint8: UInt8 = DataType::UInt8,
    uint32: UInt32 = DataType::UInt32,
    int32: Int32 = DataType::Int32,
    int64: Int64 = DataType::Int64,
    float64: Float64 = DataType::Float64,
}

impl ColumnType {
    /// Text may be dictionary-encoded.
    fn accepts(self, dtype: &DataType) -> bool {
        let is_dictionary = matches!(dtype, DataType::Enum(..) | DataType::Categorical(..));
        *dtype == self.dtype() || (is_dictionary && self == Self::Text)
    }
}

impl Column {
    /// Columns of the source that are published as they are: customers' attributes, mapped columns.
    const ATTRIBUTES: Self = Self {
        name: "",
        column_type: ColumnType::Text,
        occurrence: Occurrence::Attributes,
        meaning: Some("A column of the source, published as it is."),
    };

    const fn new(name: &'static str, column_type: ColumnType) -> Self {
        Self { name, column_type, occurrence: Occurrence::Always, meaning: None }
    }

    const fn optional(self) -> Self {
        Self { occurrence: Occurrence::Optional, ..self }
    }

    const fn pattern(self) -> Self {
        Self { occurrence: Occurrence::Pattern, ..self }
    }

    /// Meaning in this table, if it differs from the general one in [`crate::columns`].
    const fn means(self, meaning: &'static str) -> Self {
        Self { meaning: Some(meaning), ..self }
    }

    fn matches(&self, name: &str) -> bool {
        match self.occurrence {
            Occurrence::Always | Occurrence::Optional => self.name == name,
            Occurrence::Pattern => matches_pattern(self.name, name),
            Occurrence::Attributes => true,
        }
    }
}

impl Table {
    /// The declaration of a column. A column is an attribute of the source only if it is nothing
    /// else.
    fn declared(&self, column: &str) -> Option<&Column> {
        let candidates = self.columns.iter().filter(|declared| declared.matches(column));
        candidates.min_by_key(|declared| declared.occurrence == Occurrence::Attributes)
    }

    /// Meaning of a column of this table.
    pub fn meaning(&self, column: &str) -> Option<&'static str> {
        self.declared(column)?.meaning.or_else(|| meaning(column))
    }

    /// Type of a column. Text for undeclared columns, which are attributes of the source.
    pub fn dtype(&self, column: &str) -> DataType {
        // Files of `segments` have it in the name of their folder.
        if column == SNAPSHOT {
            return DataType::Date;
        }
        self.declared(column).map_or(DataType::String, |declared| declared.column_type.dtype())
    }

    /// Compares a frame with the declaration: names, types, and order.
    pub fn check(&self, frame: &DataFrame) -> Result<(), String> {
        for column in self.columns.iter().filter(|column| column.occurrence == Occurrence::Always) {
            if frame.get_column_index(column.name).is_none() {
                return Err(format!("column `{}` is missing", column.name));
            }
        }
        let mut last = 0;
        for column in frame.columns() {
            let name = column.name().as_str();
            let Some(declared) = self.declared(name) else {
                return Err(format!("column `{name}` is not declared"));
            };
            if declared.occurrence == Occurrence::Attributes {
                continue;
            }
            if !declared.column_type.accepts(column.dtype()) {
                return Err(format!("column `{name}` has the type {}", column.dtype()));
            }
            // The order of optional columns is that of the options in the YAML.
            if declared.occurrence == Occurrence::Always {
                let index = self.columns.iter().take_while(|other| other.name != name).count();
                if index < last {
                    return Err(format!("column `{name}` is out of order"));
                }
                last = index;
            }
        }
        Ok(())
    }
}

//! Row groups of the rejects: as Polars writes them, but for two columns. Numbers of rows ascend, so that their differences take a
//! fraction of the room and less time; and texts are nearly never there, so that to look for those that are equal is in vain.

use std::io::Write;
use std::sync::PoisonError;

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;
use polars_parquet::read::ParquetError;
use polars_parquet::write::{
    Compressor, DynIter, DynStreamingIterator, Encoding, FallibleStreamingIterator,
    array_to_columns, get_dtype_encoding,
};
use rayon::prelude::*;

use crate::columns::{SOURCE_ROW, TEXT};

/// A Parquet file that is being written.
pub(super) struct Groups<W: Write>(BatchedWriter<W>);

impl<W: Write> Groups<W> {
    pub(super) fn begin(
        file: W,
        schema: &Schema,
        metadata: KeyValueMetadata,
    ) -> PolarsResult<Self> {
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None));
        writer.with_key_value_metadata(Some(metadata)).batched(schema).map(Self)
    }

    /// Writes rows together.
    pub(super) fn write(&mut self, rows: &mut DataFrame) -> PolarsResult<()> {
        let options = self.0.get_writer().lock().unwrap_or_else(PoisonError::into_inner).options();
        let names = rows.get_column_names_owned();
        let fields = self.0.parquet_schema().fields();
        let mut groups = Vec::new();
        for batch in rows.rechunk_mut().iter_chunks(CompatLevel::newest(), false) {
            let encoded = |((name, field), array): ((&PlSmallStr, _), &ArrayRef)| {
                let encodings = match name.as_str() {
                    SOURCE_ROW => vec![Encoding::DeltaBinaryPacked],
                    TEXT => vec![Encoding::Plain],
                    _ => get_dtype_encoding(array.dtype()),
                };
                array_to_columns(array, Clone::clone(field), options, &encodings)
            };
            let columns: Vec<_> = names
                .par_iter()
                .zip(fields)
                .zip(batch.columns())
                .map(encoded)
                .collect::<PolarsResult<_>>()?;
            let compressed = columns.into_iter().flatten().map(move |pages| {
                let pages = pages.map(|page| {
                    page.map_err(|error| ParquetError::FeatureNotSupported(error.to_string()))
                });
                let compressor = Compressor::new_from_vec(pages, options.compression, Vec::new());
                Ok(DynStreamingIterator::new(compressor.map_err(PolarsError::from)))
            });
            groups.push(DynIter::new(compressed));
        }
        self.0.write_row_groups(groups)
    }

    /// Writes the footer.
    pub(super) fn end(self) -> PolarsResult<()> {
        self.0.finish().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that ascend, fall and lie at both ends come back, as do texts, long ones and none at all, over several groups.
    #[test]
    fn what_is_written_is_read() {
        let rows = 1000u32;
        let number = |row: u32| match row % 10 {
            0 => u32::MAX - row,
            1 => rows - row,
            2 => 1 << 31,
            _ => row,
        };
        let text = |row: u32| {
            row.is_multiple_of(3)
                .then(|| "a text of more than twelve bytes, ".repeat(row as usize % 5))
        };
        let numbers = Column::new(SOURCE_ROW.into(), (0..rows).map(number).collect::<Vec<_>>());
        let texts = Column::new(TEXT.into(), (0..rows).map(text).collect::<Vec<_>>());
        let words = Column::new(
            "word".into(),
            (0..rows).map(|row| ["a", "b"][row as usize % 2]).collect::<Vec<_>>(),
        );
        let kind = DataType::from_frozen_categories(FrozenCategories::new(["a", "b"]).unwrap());
        let frame = DataFrame::new(rows as usize, vec![words.cast(&kind).unwrap(), numbers, texts])
            .unwrap();
        let mut file = Vec::new();
        let mut groups =
            Groups::begin(&mut file, frame.schema(), KeyValueMetadata::from_static(Vec::new()))
                .unwrap();
        for (from, to) in [(0, 1), (1, 999), (999, 999), (999, 1000)] {
            groups.write(&mut frame.slice(from, to - from as usize)).unwrap();
        }
        groups.end().unwrap();
        let read = ParquetReader::new(std::io::Cursor::new(file)).finish().unwrap();
        assert!(read.equals_missing(&frame), "{read}");
    }
}

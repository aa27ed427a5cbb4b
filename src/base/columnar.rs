//! Tables of rows in Parquet files, written and read with the same schema. Snappy pages, no nesting.

use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record;
use parquet::schema::types::Type;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One column: its name, what it holds, whether it may be null.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The column's name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a value may be missing.
    pub optional: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// INT64.
    Int,
    /// FLOAT: 32 bits.
    Float,
    /// DOUBLE: 64 bits.
    Double,
    /// Bytes of any meaning.
    Bytes,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Missing.
    Null,
    /// See [`Kind::Text`].
    Text(String),
    /// See [`Kind::Int`].
    Int(i64),
    /// See [`Kind::Float`].
    Float(f32),
    /// See [`Kind::Double`].
    Double(f64),
    /// See [`Kind::Bytes`].
    Bytes(Vec<u8>),
}

impl Value {
    /// The text, if it is one.
    pub fn text(self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one and fits `T`.
    pub fn int<T: TryFrom<i64>>(&self) -> Option<T> {
        match self {
            Value::Int(int) => T::try_from(*int).ok(),
            _ => None,
        }
    }

    /// The 32-bit float, if it is one.
    pub fn float(&self) -> Option<f32> {
        match self {
            Value::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// The 64-bit float, if it is one.
    pub fn double(&self) -> Option<f64> {
        match self {
            Value::Double(double) => Some(*double),
            _ => None,
        }
    }

    /// The bytes, if that is what it is.
    pub fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

macro_rules! value_from {
    ($($from:ty => $kind:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Value::$kind(value.into())
            }
        })*
    };
}
value_from!(&str => Text, String => Text, i64 => Int, u32 => Int, f32 => Float, f64 => Double, Vec<u8> => Bytes);

/// The key-value pairs of a file.
pub type Metadata = BTreeMap<String, String>;

/// A Parquet file in the making.
pub struct TableWriter {
    path: PathBuf,
    schema: &'static [Field],
    writer: SerializedFileWriter<AtomicFile>,
}

impl TableWriter {
    /// Starts the file `path` with `metadata` as its key-value pairs.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(path: &Path, schema: &'static [Field], metadata: &[(&str, String)]) -> Result<TableWriter> {
        let pairs = metadata.iter().map(|(key, value)| KeyValue::new(key.to_string(), value.clone()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("synfilter ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(pairs.collect()))
            .build();
        let message = message_type(schema).map_err(write_error(path))?;
        let file = AtomicFile::create(path)?;
        let writer = SerializedFileWriter::new(file, Arc::new(message), Arc::new(properties))
            .map_err(write_error(path))?;
        Ok(TableWriter { path: path.to_owned(), schema, writer })
    }

    /// Writes `rows` as one row group. Every row has one value per field of the schema, of its kind.
    ///
    /// # Errors
    /// [`Error::Write`], also for a row that does not fit the schema.
    pub fn write_rows(&mut self, rows: &[Vec<Value>]) -> Result<()> {
        let (schema, writer) = (self.schema, &mut self.writer);
        let mut group = move || {
            let mut group = writer.next_row_group()?;
            for (at, field) in schema.iter().enumerate() {
                write_column(&mut group, field, rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null)))?;
            }
            group.close().map(drop)
        };
        group().map_err(write_error(&self.path))
    }

    /// Ends the file and puts it in its place.
    ///
    /// # Errors
    /// [`Error::Write`]; nothing is left behind.
    pub fn finish(self) -> Result<()> {
        self.writer.into_inner().map_err(write_error(&self.path))?.commit()
    }
}

/// A Parquet file, read whole: key-value pairs and rows, checked against `schema`. An optional column that the file lacks, as
/// one of an earlier version may, holds nothing.
///
/// # Errors
/// [`Error::Read`] or [`Error::Input`], naming the column or row that is not as it should be.
pub fn read_table(path: &Path, schema: &[Field]) -> Result<(Metadata, Vec<Vec<Value>>)> {
    let file = File::open(path).map_err(Error::read(path))?;
    let bad =
        |place: &str, found: &dyn std::fmt::Display| Error::input(path, place, "a Parquet table", found);
    let reader = SerializedFileReader::new(file).map_err(|error| bad("footer", &error))?;

    let metadata = reader.metadata().file_metadata();
    let found: Vec<&str> = metadata.schema_descr().columns().iter().map(|column| column.name()).collect();
    let there: Vec<bool> =
        schema.iter().map(|field| !field.optional || found.contains(&field.name)).collect();
    let named = schema.iter().zip(&there).filter(|(_, there)| **there).map(|(field, _)| field.name);
    if !named.eq(found.iter().copied()) {
        let expected: Vec<&str> = schema.iter().map(|field| field.name).collect();
        return Err(Error::input(path, "schema", expected.join(", "), found.join(", ")));
    }
    let pairs = metadata.key_value_metadata().into_iter().flatten();
    let pairs = pairs.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect();

    let mut rows = Vec::new();
    for (at, row) in reader.get_row_iter(None).map_err(|error| bad("rows", &error))?.enumerate() {
        let row = row.map_err(|error| bad(&format!("row {at}"), &error))?;
        let mut columns = row.into_columns().into_iter();
        let values = schema.iter().zip(&there).map(|(field, there)| {
            let value = if *there { columns.next().map(|(_, value)| value) } else { None };
            checked_value(value.unwrap_or(record::Field::Null), field).map_err(|found| {
                Error::input(path, format!("row {at}, {}", field.name), expected_of(field), found)
            })
        });
        rows.push(values.collect::<Result<Vec<Value>>>()?);
    }
    Ok((pairs, rows))
}

fn message_type(schema: &[Field]) -> parquet::errors::Result<Type> {
    let fields = schema.iter().map(|field| {
        let (physical, logical) = match field.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Int => (Physical::INT64, None),
            Kind::Float => (Physical::FLOAT, None),
            Kind::Double => (Physical::DOUBLE, None),
            Kind::Bytes => (Physical::BYTE_ARRAY, None),
        };
        let repetition = if field.optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let builder = Type::primitive_type_builder(field.name, physical).with_repetition(repetition);
        builder.with_logical_type(logical).build().map(Arc::new)
    });
    Type::group_type_builder("schema").with_fields(fields.collect::<parquet::errors::Result<_>>()?).build()
}

fn write_column<'v>(
    group: &mut SerializedRowGroupWriter<'_, AtomicFile>,
    field: &Field,
    values: impl Iterator<Item = &'v Value> + Clone,
) -> parquet::errors::Result<()> {
    let misfit = |value: &Value| {
        ParquetError::General(format!("{}: expected {}, found {value:?}", field.name, expected_of(field)))
    };
    let levels: Vec<i16> = values.clone().map(|value| i16::from(*value != Value::Null)).collect();
    if !field.optional && levels.contains(&0) {
        return Err(misfit(&Value::Null));
    }
    let levels = field.optional.then_some(levels.as_slice());
    let mut column = group.next_column()?.ok_or_else(|| misfit(&Value::Null))?;
    macro_rules! write {
        ($writer:expr, $($kind:ident($value:ident) => $convert:expr),+) => {{
            let present = values.filter(|value| **value != Value::Null).map(|value| match (field.kind, value) {
                $((Kind::$kind, Value::$kind($value)) => Ok($convert),)+
                _ => Err(misfit(value)),
            });
            $writer.write_batch(&present.collect::<parquet::errors::Result<Vec<_>>>()?, levels, None)?
        }};
    }
    match column.untyped() {
        ColumnWriter::Int64ColumnWriter(writer) => write!(writer, Int(int) => *int),
        ColumnWriter::FloatColumnWriter(writer) => write!(writer, Float(float) => *float),
        ColumnWriter::DoubleColumnWriter(writer) => write!(writer, Double(double) => *double),
        ColumnWriter::ByteArrayColumnWriter(writer) => write!(
            writer,
            Text(text) => ByteArray::from(text.as_str()),
            Bytes(bytes) => ByteArray::from(bytes.clone())
        ),
        _ => return Err(ParquetError::General(format!("{}: a column of another type", field.name))),
    };
    column.close()
}

/// A value read from a file, or what was found where it does not fit its field.
fn checked_value(value: record::Field, field: &Field) -> Result<Value, String> {
    match (field.kind, value) {
        (_, record::Field::Null) if field.optional => Ok(Value::Null),
        (Kind::Text, record::Field::Str(text)) => Ok(Value::Text(text)),
        (Kind::Int, record::Field::Long(int)) => Ok(Value::Int(int)),
        (Kind::Float, record::Field::Float(float)) => Ok(Value::Float(float)),
        (Kind::Double, record::Field::Double(double)) => Ok(Value::Double(double)),
        (Kind::Bytes, record::Field::Bytes(bytes)) => Ok(Value::Bytes(bytes.data().to_vec())),
        (_, other) => Err(other.to_string()),
    }
}

fn expected_of(field: &Field) -> String {
    let kind = match field.kind {
        Kind::Text => "text",
        Kind::Int => "a 64-bit integer",
        Kind::Float => "a 32-bit float",
        Kind::Double => "a 64-bit float",
        Kind::Bytes => "bytes",
    };
    format!("{kind}{}", if field.optional { " or null" } else { "" })
}

fn write_error(path: &Path) -> impl Fn(ParquetError) -> Error {
    move |error| {
        let source = match error {
            // What the file itself said, such as a full disk.
            ParquetError::External(cause) => {
                cause.downcast::<io::Error>().map_or_else(io::Error::other, |cause| *cause)
            }
            other => io::Error::other(other),
        };
        Error::Write { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[Field] = &[
        Field { name: "name", kind: Kind::Text, optional: true },
        Field { name: "count", kind: Kind::Int, optional: false },
        Field { name: "alpha", kind: Kind::Float, optional: true },
        Field { name: "loss", kind: Kind::Double, optional: false },
        Field { name: "bits", kind: Kind::Bytes, optional: false },
    ];

    fn row(name: Option<&str>, count: i64, alpha: Option<f32>, loss: f64, bits: Vec<u8>) -> Vec<Value> {
        vec![name.into(), count.into(), alpha.into(), loss.into(), bits.into()]
    }

    #[test]
    fn optional_columns_may_be_younger_than_a_file() {
        const OLD: &[Field] = &[SCHEMA[1], SCHEMA[3], SCHEMA[4]];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let mut table = TableWriter::create(&path, OLD, &[]).unwrap();
        table.write_rows(&[vec![7u32.into(), 0.5.into(), vec![1u8].into()]]).unwrap();
        table.finish().unwrap();
        let (_, rows) = read_table(&path, SCHEMA).unwrap();
        assert_eq!(rows, [row(None, 7, None, 0.5, vec![1])]);
        let error = read_table(&path, &[SCHEMA[2], SCHEMA[1], SCHEMA[4]]).unwrap_err().to_string();
        assert!(error.contains("expected alpha, count, bits, found count, loss, bits"), "{error}");
    }

    #[test]
    fn rows_read_back_equal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let groups = [
            vec![
                row(Some("a"), -1, Some(0.1), 1e-300, vec![1, 0, 255]),
                row(None, i64::MAX, None, -0.0, vec![]),
            ],
            vec![row(Some("ü"), 0, Some(f32::MIN), 3.5, vec![0; 1000])],
        ];
        let mut table = TableWriter::create(&path, SCHEMA, &[("hash", "abc".to_owned())]).unwrap();
        for rows in &groups {
            table.write_rows(rows).unwrap();
        }
        assert!(!path.exists());
        table.finish().unwrap();
        let (metadata, rows) = read_table(&path, SCHEMA).unwrap();
        assert_eq!(metadata["hash"], "abc");
        assert_eq!(rows, groups.concat());
    }

    #[test]
    fn misfits_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let mut table = TableWriter::create(&path, SCHEMA, &[]).unwrap();
        let mut wrong = row(Some("a"), 1, None, 0.0, vec![]);
        wrong[1] = Value::Null;
        let error = table.write_rows(&[wrong]).unwrap_err();
        assert!(error.to_string().contains("count: expected a 64-bit integer, found Null"), "{error}");
        drop(table);

        let mut table = TableWriter::create(&path, SCHEMA, &[]).unwrap();
        table.write_rows(&[row(None, 1, None, 0.0, vec![])]).unwrap();
        table.finish().unwrap();
        let error = read_table(&path, &SCHEMA[..3]).unwrap_err();
        assert!(
            error.to_string().contains("schema: expected name, count, alpha, found name, count, alpha, loss")
        );
        let mut other = SCHEMA.to_vec();
        other[1].kind = Kind::Double;
        let error = read_table(&path, &other).unwrap_err();
        assert!(error.to_string().contains("row 0, count: expected a 64-bit float, found 1"), "{error}");

        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(read_table(&path, SCHEMA).unwrap_err().exit_code(), 3);
    }
}

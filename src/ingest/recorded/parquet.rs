//! Apache Parquet: the same tables as in text, wide or long, in columns of types.
//!
//! Files without compression or with Snappy, gzip or LZ4; Zstandard and Brotli would need a C compiler to build and are refused by name. Nested columns are told and
//! left out.

use std::fs::File;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::table::{Cell, Sheet};
use super::{Recorded, SAMPLES_MAX};
use crate::model::Timestamp;

/// Reads a file.
pub fn read(recorded: &mut Recorded, file: File, name: &str, stem: &str) -> Result<(), String> {
    let wrong = |error: parquet::errors::ParquetError| format!("it cannot be read as Parquet: {error}");
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let names: Vec<String> = {
        let schema = reader.metadata().file_metadata().schema_descr();
        let columns = schema.root_schema().get_fields();
        columns.iter().map(|column| column.name().to_owned()).collect()
    };
    let mut sheet = Sheet::new(names, recorded, stem)?;
    let mut nested = false;
    for (number, row) in (1_u64..).zip(reader.get_row_iter(None).map_err(wrong)?) {
        let row = row.map_err(|error| format!("row {number}: {error}"))?;
        let cells: Vec<Cell> = row
            .into_columns()
            .into_iter()
            .map(|(_, field)| cell(field, &mut nested))
            .collect();
        sheet.row(recorded, &format!("{name}: row {number}"), &cells);
        if recorded.samples.len() > SAMPLES_MAX {
            break;
        }
    }
    if nested {
        recorded.bad(name, "columns that hold lists, maps or groups are left out");
    }
    Ok(())
}

fn cell(field: Field, nested: &mut bool) -> Cell {
    let number = |value: f64| Cell::Number(value);
    match field {
        Field::Null => Cell::Empty,
        Field::Bool(value) => number(f64::from(u8::from(value))),
        Field::Byte(value) => number(value.into()),
        Field::Short(value) => number(value.into()),
        Field::Int(value) => number(value.into()),
        // Times may be such, in nanoseconds with all their digits: as text they keep them.
        Field::Long(value) => Cell::Text(value.to_string()),
        Field::UByte(value) => number(value.into()),
        Field::UShort(value) => number(value.into()),
        Field::UInt(value) => number(value.into()),
        Field::ULong(value) => Cell::Text(value.to_string()),
        Field::Float16(value) => number(value.to_f64()),
        Field::Float(value) => number(value.into()),
        Field::Double(value) => number(value),
        Field::Date(days) => Cell::Time(Timestamp::from_secs(i64::from(days) * 86_400)),
        Field::TimestampMillis(millis) => Cell::Time(Timestamp::from_millis(millis)),
        Field::TimestampMicros(micros) => Cell::Time(Timestamp::from_nanos(micros.saturating_mul(1000))),
        Field::Str(text) => match text.trim() {
            "" => Cell::Empty,
            text => Cell::Text(text.to_owned()),
        },
        Field::Bytes(bytes) => bytes.as_utf8().map_or(Cell::Empty, |text| Cell::Text(text.to_owned())),
        field @ (Field::Decimal(_) | Field::TimeMillis(_) | Field::TimeMicros(_)) => Cell::Text(field.to_string()),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => {
            *nested = true;
            Cell::Empty
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::super::{Format, ImportError};
    use super::*;
    use crate::model::Catalog;

    enum Column {
        Times(Vec<i64>),
        Doubles(Vec<Option<f64>>),
        Floats(Vec<f32>),
        Words(Vec<&'static str>),
    }

    fn write(path: &Path, schema: &str, compression: Compression, columns: &[Column]) {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            let mut out = group.next_column().unwrap().unwrap();
            match column {
                Column::Times(values) => drop(out.typed::<Int64Type>().write_batch(values, None, None).unwrap()),
                Column::Floats(values) => drop(out.typed::<FloatType>().write_batch(values, None, None).unwrap()),
                Column::Doubles(values) => {
                    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                    let there: Vec<f64> = values.iter().copied().flatten().collect();
                    out.typed::<DoubleType>()
                        .write_batch(&there, Some(&levels), None)
                        .unwrap();
                }
                Column::Words(values) => {
                    let bytes: Vec<ByteArray> = values.iter().map(|value| ByteArray::from(*value)).collect();
                    out.typed::<ByteArrayType>().write_batch(&bytes, None, None).unwrap();
                }
            }
            out.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
    }

    fn words(recorded: &Recorded, catalog: &Catalog) -> Vec<String> {
        let word = |sample: &crate::model::Sample| {
            let (entity, signal) = catalog.parts(sample.series).unwrap();
            let at = sample.at.millis() - 1_767_225_600_000;
            format!(
                "{}/{}={}@{at}",
                catalog.entity_name(entity),
                catalog.signal_name(signal),
                sample.value
            )
        };
        recorded.samples.iter().map(word).collect()
    }

    #[test]
    fn wide_and_long_tables_are_read_in_any_compression_that_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let at = 1_767_225_600_000;
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::LZ4_RAW,
        ] {
            let (catalog, path) = (Catalog::new(), dir.path().join("pump.parquet"));
            write(
                &path,
                "message m { required int64 time (TIMESTAMP(MILLIS,true)); optional double temp; required float flow; }",
                compression,
                &[
                    Column::Times(vec![at + 1000, at + 2000]),
                    Column::Doubles(vec![Some(21.5), None]),
                    Column::Floats(vec![0.5, 1.5]),
                ],
            );
            let mut recorded = Recorded::new(&catalog, None, None);
            assert_eq!(recorded.read(&path, Format::Auto).unwrap(), Format::Parquet);
            assert_eq!(
                words(&recorded, &catalog),
                ["pump/temp=21.5@1000", "pump/flow=0.5@1000", "pump/flow=1.5@2000"]
            );
            assert_eq!(recorded.bad, 0);
        }
        let (catalog, path) = (Catalog::new(), dir.path().join("long.parquet"));
        // Nanoseconds, as pandas writes them.
        write(
            &path,
            "message m { required int64 ts (TIMESTAMP(NANOS,true)); required binary device (STRING); required binary metric (STRING); optional double value; }",
            Compression::SNAPPY,
            &[
                Column::Times(vec![(at + 1) * 1_000_000, (at + 2) * 1_000_000]),
                Column::Words(vec!["p1", "p2"]),
                Column::Words(vec!["temp", "temp"]),
                Column::Doubles(vec![Some(1.0), Some(2.0)]),
            ],
        );
        let mut recorded = Recorded::new(&catalog, None, None);
        recorded.read(&path, Format::Parquet).unwrap();
        assert_eq!(words(&recorded, &catalog), ["p1/temp=1@1", "p2/temp=2@2"]);
        assert_eq!(recorded.events.len(), 2, "both are made known");
    }

    #[test]
    fn what_is_no_such_file_or_table_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        let told = |path: &Path| {
            let mut recorded = Recorded::new(&Catalog::new(), None, None);
            recorded.read(path, Format::Auto).unwrap_err().to_string()
        };
        std::fs::write(&path, "time,temp\n").unwrap();
        assert!(told(&path).contains("cannot be read as Parquet"), "{}", told(&path));
        write(
            &path,
            "message m { required float flow; }",
            Compression::UNCOMPRESSED,
            &[Column::Floats(vec![1.0])],
        );
        assert!(told(&path).contains("no column is a time"), "{}", told(&path));
        let schema = "message m { required int64 time; required float flow; }";
        write(
            &path,
            schema,
            Compression::UNCOMPRESSED,
            &[Column::Times(vec![]), Column::Floats(vec![])],
        );
        let mut recorded = Recorded::new(&Catalog::new(), None, None);
        assert!(matches!(
            recorded.read(&path, Format::Auto),
            Err(ImportError::Nothing { .. })
        ));
    }
}

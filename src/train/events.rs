//! TensorBoard's event file of a training run: what the log holds, as TensorBoard reads it.
//!
//! A file is a sequence of TFRecords, each one `Event` message of TensorFlow's `event.proto` in protobuf's wire format:
//!
//! ```text
//! record   u64 length, u32 masked CRC of the length's bytes, the message, u32 masked CRC of the message; little-endian
//! Event    1: wall time (double)   2: step (varint)   3: file version (text, first event alone)   5: Summary
//! Summary  1: Value, repeated      Value  1: tag (text)   2: simple value (float)
//! ```
//!
//! CRCs are CRC-32C, rotated and shifted ("masked") as TFRecords have it.

use super::log::EpochRecord;
use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the file's first event says.
const FILE_VERSION: &str = "brain.Event:2";

/// The event file of a run, open for more epochs.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// The name of the file in a run's folder; TensorBoard looks for `tfevents` in names.
    pub const NAME: &str = "events.out.tfevents.synfilter";

    /// Begins the file in `folder` with the epochs that are finished.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(folder: &Path, epochs: &[EpochRecord]) -> Result<Events> {
        let path = folder.join(Events::NAME);
        // Epochs of earlier processes ended as long ago as those after them took, or longer.
        let mut time = now() - epochs.iter().map(|epoch| epoch.seconds).sum::<f64>();
        let mut content = record(&version(time));
        for epoch in epochs {
            time += epoch.seconds;
            content.extend(record(&event(epoch, time)));
        }
        let mut file = AtomicFile::create(&path)?;
        file.write_all(&content).map_err(Error::write(&path))?;
        file.commit()?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::write(&path))?;
        Ok(Events { path, file })
    }

    /// Adds an epoch that has just been finished.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append(&mut self, epoch: &EpochRecord) -> Result<()> {
        self.file.write_all(&record(&event(epoch, now()))).map_err(Error::write(&self.path))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// What TensorBoard shows of an epoch.
fn scalars(epoch: &EpochRecord) -> [(&'static str, f64); 6] {
    [
        ("loss/train", epoch.train_loss),
        ("loss/test", epoch.test_loss),
        ("accuracy/train", epoch.train_accuracy),
        ("accuracy/test", epoch.test_accuracy),
        ("learning_rate", epoch.lr),
        ("images_per_second", epoch.images_per_s),
    ]
}

fn version(time: f64) -> Vec<u8> {
    let mut event = fixed64(1, time);
    event.extend(delimited(3, FILE_VERSION.as_bytes()));
    event
}

fn event(epoch: &EpochRecord, time: f64) -> Vec<u8> {
    let summary = scalars(epoch).into_iter().flat_map(|(tag, value)| {
        let mut message = delimited(1, tag.as_bytes());
        message.push(2 << 3 | 5);
        message.extend((value as f32).to_le_bytes());
        delimited(1, &message)
    });
    let mut event = fixed64(1, time);
    event.push(2 << 3);
    event.extend(varint(epoch.step));
    event.extend(delimited(5, &summary.collect::<Vec<u8>>()));
    event
}

/// A field of eight bytes.
fn fixed64(field: u8, value: f64) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 1];
    bytes.extend(value.to_le_bytes());
    bytes
}

/// A field of text or of a message.
fn delimited(field: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 2];
    bytes.extend(varint(content.len() as u64));
    bytes.extend(content);
    bytes
}

/// Seven bits per byte, lowest first; the eighth says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked_crc(&length).to_le_bytes());
    bytes.extend(message);
    bytes.extend(masked_crc(message).to_le_bytes());
    bytes
}

/// A CRC as TFRecords store it, so that the CRC of data with CRCs in it stays meaningful.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C: Castagnoli's polynomial, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut crc, mut bit) = (byte as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(masked_crc(b"123456789"), 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8));
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(127), [0x7f]);
    }

    /// Fields of a message: number, wire type, content.
    fn fields(mut bytes: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
        let take = |bytes: &mut &[u8], n: usize| {
            let (now, later) = bytes.split_at(n);
            *bytes = later;
            now.to_vec()
        };
        let number = |bytes: &mut &[u8]| {
            let mut value = 0u64;
            for shift in (0..).step_by(7) {
                let byte = take(bytes, 1)[0];
                value |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    return value;
                }
            }
            unreachable!("a varint ends")
        };
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = number(&mut bytes) as u8;
            let content = match key & 7 {
                0 => number(&mut bytes).to_le_bytes().to_vec(),
                1 => take(&mut bytes, 8),
                2 => {
                    let length = number(&mut bytes) as usize;
                    take(&mut bytes, length)
                }
                5 => take(&mut bytes, 4),
                other => panic!("wire type {other}"),
            };
            found.push((key >> 3, key & 7, content));
        }
        found
    }

    /// The messages of a file, all checksums checked by a plain bitwise CRC.
    fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let checked = |bytes: &[u8], stored: &[u8]| {
            let mut crc = !0u32;
            for bit in bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)) {
                let low = crc & 1 ^ u32::from(bit);
                crc = crc >> 1 ^ if low == 1 { 0x82f6_3b78 } else { 0 };
            }
            let masked = (!crc).rotate_right(15).wrapping_add(0xa282_ead8);
            assert_eq!(stored, masked.to_le_bytes());
        };
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            checked(&bytes[..8], &bytes[8..12]);
            checked(&bytes[12..12 + length], &bytes[12 + length..16 + length]);
            found.push(bytes[12..12 + length].to_vec());
            bytes = &bytes[16 + length..];
        }
        found
    }

    fn epoch(epoch: u32) -> EpochRecord {
        EpochRecord {
            epoch,
            step: 80 * u64::from(epoch),
            lr: 1e-3,
            train_loss: 0.5 / f64::from(epoch),
            train_accuracy: 0.75,
            test_loss: 0.625,
            test_accuracy: 0.875,
            images_per_s: 1234.5,
            seconds: 2.0,
        }
    }

    #[test]
    fn a_file_holds_the_epochs_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::create(folder.path(), &[epoch(1), epoch(2)]).unwrap();
        events.append(&epoch(300)).unwrap();
        let bytes = std::fs::read(folder.path().join(Events::NAME)).unwrap();
        let messages = messages(&bytes);
        assert_eq!(messages.len(), 4);
        let first = fields(&messages[0]);
        assert_eq!((first[1].0, &first[1].2[..]), (3, FILE_VERSION.as_bytes()));
        let time = |message: &[u8]| {
            let (1, 1, bytes) = fields(message).swap_remove(0) else { panic!("wall time comes first") };
            f64::from_le_bytes(bytes.try_into().unwrap())
        };
        let times: Vec<f64> = messages.iter().map(|message| time(message)).collect();
        assert!((times[1] - times[0] - 2.0).abs() < 1e-3 && (times[2] - times[1] - 2.0).abs() < 1e-3);
        assert!(times[3] >= times[2] && times[3] <= now());
        for (message, expected) in messages[1..].iter().zip([epoch(1), epoch(2), epoch(300)]) {
            let event = fields(message);
            assert_eq!((event[1].0, event[1].2[..] == expected.step.to_le_bytes()), (2, true));
            assert_eq!((event[2].0, event.len()), (5, 3));
            let values: Vec<(String, f32)> = fields(&event[2].2)
                .into_iter()
                .map(|(field, _, value)| {
                    assert_eq!(field, 1);
                    let value = fields(&value);
                    assert_eq!((value[0].0, value[1].0, value[1].1), (1, 2, 5));
                    let number = f32::from_le_bytes(value[1].2[..].try_into().unwrap());
                    (String::from_utf8(value[0].2.clone()).unwrap(), number)
                })
                .collect();
            let expected = scalars(&expected).map(|(tag, value)| (tag.to_owned(), value as f32));
            assert_eq!(values, expected);
        }
        // Taken up again: the file is that of the log.
        Events::create(folder.path(), &[epoch(1)]).unwrap();
        let again = std::fs::read(folder.path().join(Events::NAME)).unwrap();
        assert_eq!(self::messages(&again).len(), 2);
    }
}

//! Records on their way to a running server: binary, because a zone can have many.
//!
//! ```text
//! file u16 · line u32 · type u16 · TTL u32 · owner length u8, owner · rdata length u16, rdata
//! ```
//!
//! Numbers are big-endian; owner and rdata are in wire form. `file` is an index into the names that
//! the command lists, and says with `line` where the record was read.

use crate::masterfile::Entry;
use crate::wire::{Name, NameError, Rr, Rtype, rdata};

/// Records, and for each the index of its file and its line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The records, in the order of the file.
    pub records: Vec<Rr>,
    /// As many places as records.
    pub places: Vec<(u16, u32)>,
}

/// What came is not a list of records.
#[derive(Debug, thiserror::Error)]
#[error("record {number} of the import cannot be read: {problem}")]
pub struct RecordsError {
    /// Counted from 1.
    pub number: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Gathers records with the names of their files.
#[derive(Default)]
pub struct Encoder {
    /// What was written so far.
    pub data: Vec<u8>,
    /// Names of files, as the records refer to them.
    pub files: Vec<String>,
}

impl Encoder {
    /// Appends one record.
    ///
    /// # Errors
    /// More files than numbers for them.
    pub fn push(&mut self, entry: &Entry) -> Result<(), RecordsError> {
        // Records of one file mostly come together.
        let known = self.files.iter().rposition(|file| **file == *entry.file);
        let file = known.unwrap_or_else(|| {
            self.files.push(entry.file.to_string());
            self.files.len() - 1
        });
        let failed =
            || RecordsError { number: 0, problem: "65,536 files are too many at once".into() };
        let file = u16::try_from(file).map_err(|_| failed())?;
        let line = u32::try_from(entry.line).unwrap_or(u32::MAX);
        let (owner, rdata) = (entry.rr.owner.as_wire(), &entry.rr.rdata);
        self.data.extend_from_slice(&file.to_be_bytes());
        self.data.extend_from_slice(&line.to_be_bytes());
        self.data.extend_from_slice(&entry.rr.rtype.0.to_be_bytes());
        self.data.extend_from_slice(&entry.rr.ttl.to_be_bytes());
        // A name has at most 255 octets, rdata at most 65,535: both by construction.
        self.data.push(owner.len() as u8);
        self.data.extend_from_slice(owner);
        self.data.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        self.data.extend_from_slice(rdata);
        Ok(())
    }
}

/// Reads what an [`Encoder`] wrote. Owners and rdata are checked as those of a master file are.
///
/// # Errors
/// The first record that is none.
pub fn decode(mut data: &[u8]) -> Result<Records, RecordsError> {
    let mut records = Records::default();
    while !data.is_empty() {
        let number = records.records.len() + 1;
        data =
            decode_one(data, &mut records).map_err(|problem| RecordsError { number, problem })?;
    }
    Ok(records)
}

/// Reads the first record; returns the octets after it.
fn decode_one<'d>(data: &'d [u8], records: &mut Records) -> Result<&'d [u8], String> {
    let cut_off = || "it is cut off".to_owned();
    let (file, rest) = take(data).ok_or_else(cut_off)?;
    let (line, rest) = take(rest).ok_or_else(cut_off)?;
    let (rtype, rest) = take(rest).ok_or_else(cut_off)?;
    let (ttl, rest) = take(rest).ok_or_else(cut_off)?;
    let ([owner_len], rest) = take(rest).ok_or_else(cut_off)?;
    let (owner, rest) = rest.split_at_checked(usize::from(owner_len)).ok_or_else(cut_off)?;
    let (rdata_len, rest) = take(rest).ok_or_else(cut_off)?;
    let rdata_len = usize::from(u16::from_be_bytes(rdata_len));
    let (rdata, rest) = rest.split_at_checked(rdata_len).ok_or_else(cut_off)?;
    let rtype = Rtype(u16::from_be_bytes(rtype));
    if rtype.is_meta() {
        return Err(format!("no record has the type {rtype}"));
    }
    let owner = Name::from_wire(owner).map_err(|error: NameError| error.to_string())?;
    rdata::check(rtype, rdata).map_err(|error| error.to_string())?;
    let ttl = u32::from_be_bytes(ttl);
    records.records.push(Rr { owner, rtype, ttl, rdata: rdata.into() });
    records.places.push((u16::from_be_bytes(file), u32::from_be_bytes(line)));
    Ok(rest)
}

fn take<const N: usize>(data: &[u8]) -> Option<([u8; N], &[u8])> {
    data.split_first_chunk().map(|(octets, rest)| (*octets, rest))
}

#[cfg(test)]
mod tests {
    use super::{Encoder, decode};
    use crate::masterfile::{Entry, parse};

    fn entries() -> Vec<Entry> {
        let text = "$ORIGIN x.\n$TTL 7\n@ NS ns\nns A 192.0.2.1\n\
            longer.name MX 10 Mail\ne TYPE65400 \\# 0\nt TXT \"a;b\" c\n";
        parse("a.zone", text.as_bytes(), None).map(Result::unwrap).collect()
    }

    fn encoded() -> Encoder {
        let mut encoder = Encoder::default();
        for (number, mut entry) in entries().into_iter().enumerate() {
            if number == 2 {
                entry.file = "b.zone".into();
            }
            encoder.push(&entry).unwrap();
        }
        encoder
    }

    #[test]
    fn records_arrive_as_they_were_read_with_their_places() {
        let Encoder { data, files } = encoded();
        let decoded = decode(&data).unwrap();
        let sent: Vec<_> = entries().into_iter().map(|entry| entry.rr).collect();
        assert_eq!(decoded.records, sent);
        assert_eq!(decoded.places, [(0, 3), (0, 4), (1, 5), (0, 6), (0, 7)]);
        assert_eq!(files, ["a.zone", "b.zone"]);
    }

    #[test]
    fn cut_off_or_false_records_are_refused() {
        let data = encoded().data;
        let ends: Vec<usize> =
            (0..=data.len()).filter(|&end| decode(&data[..end]).is_ok()).collect();
        assert_eq!(ends.len(), 1 + entries().len(), "only whole records are read");
        let mut bad_owner = data.clone();
        bad_owner[13] = 0xC0;
        let mut bad_rdata = data.clone();
        bad_rdata[7] = 1;
        let mut meta = data;
        meta[6..8].copy_from_slice(&[0, 255]);
        for bad in [bad_owner, bad_rdata, meta] {
            let error = decode(&bad).unwrap_err();
            assert_eq!(error.number, 1, "{error}");
        }
    }
}

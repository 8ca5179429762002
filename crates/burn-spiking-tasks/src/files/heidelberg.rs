//! SHD and SSC: spoken digits and spoken commands as spikes of a model cochlea of 700 channels
//! (Cramer et al. 2020).
//!
//! ```text
//! FILE.h5
//!   spikes/times    a list of seconds for each sample, in half, single or double precision
//!   spikes/units    a list of channels for each sample, 0 to 699
//!   labels          the class of each sample
//! ```
//!
//! SHD has 20 classes (`shd_train.h5`, `shd_test.h5`), SSC 35 (`ssc_train.h5`, `ssc_valid.h5`,
//! `ssc_test.h5`). The files come from <https://zenkelab.org/datasets>, compressed; unpack them
//! first.

use super::{FileError, MOST_CLASSES};
use crate::events::{Events, Sample};
use burn::data::dataset::{Dataset, DatasetError};
use half::f16;
use hdf5_reader::{ByteOrder, Datatype, Hdf5File, OpenOptions, VarLenKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of input units, the channels of the cochlea.
pub const UNITS: usize = 700;
/// The most bytes that the references or the labels of a file may take.
const LARGEST: usize = 1 << 30;
const REMEDY: &str = "give a file of SHD or SSC, such as shd_train.h5, unpacked";

/// The samples of one file. A sample is read when it is asked for.
#[derive(Clone)]
pub struct Heidelberg {
    path: PathBuf,
    lists: Arc<[Lists; 2]>,
    labels: Arc<[usize]>,
    classes: usize,
}

/// A data set with a list of numbers for each sample.
struct Lists {
    name: &'static str,
    data: hdf5_reader::Dataset,
    /// The references to the lists, one after the other.
    references: Vec<u8>,
    number: NumberForm,
}

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
struct NumberForm {
    size: usize,
    kind: Kind,
    big_end_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Real,
    Signed,
    Unsigned,
}

impl NumberForm {
    /// The form of a type of HDF5; `None` if it is no number.
    fn of(datatype: &Datatype) -> Option<Self> {
        let (size, kind, order, sizes): (_, _, _, &[u8]) = match datatype {
            Datatype::FloatingPoint { size, byte_order } => (*size, Kind::Real, byte_order, &[2, 4, 8]),
            Datatype::FixedPoint { size, signed: true, byte_order } => (*size, Kind::Signed, byte_order, &[1, 2, 4, 8]),
            Datatype::FixedPoint { size, byte_order, .. } => (*size, Kind::Unsigned, byte_order, &[1, 2, 4, 8]),
            _ => return None,
        };
        let big_end_first = *order == ByteOrder::BigEndian;
        sizes.contains(&size).then_some(Self { size: size as usize, kind, big_end_first })
    }

    /// The numbers in `bytes`.
    fn numbers(self, bytes: &[u8]) -> impl Iterator<Item = f64> + '_ {
        bytes.chunks_exact(self.size).map(move |bytes| {
            let mut low_end_first = [0; 8];
            low_end_first[..self.size].copy_from_slice(bytes);
            if self.big_end_first {
                low_end_first[..self.size].reverse();
            }
            let whole = u64::from_le_bytes(low_end_first);
            let unused = 64 - 8 * self.size as u32;
            match (self.kind, self.size) {
                (Kind::Real, 2) => f16::from_bits(whole as u16).to_f64(),
                (Kind::Real, 4) => f32::from_bits(whole as u32) as f64,
                (Kind::Real, _) => f64::from_bits(whole),
                (Kind::Signed, _) => ((whole << unused) as i64 >> unused) as f64,
                (Kind::Unsigned, _) => whole as f64,
            }
        })
    }
}

/// The classes or channels among `numbers`, which must be whole and below `limit`; or the first
/// number that is not, with its place.
fn whole_below(numbers: impl Iterator<Item = f64>, limit: usize) -> Result<Vec<usize>, (usize, f64)> {
    let whole = |number: f64| number >= 0.0 && number < limit as f64 && number.fract() == 0.0;
    numbers
        .enumerate()
        .map(|(at, number)| if whole(number) { Ok(number as usize) } else { Err((at, number)) })
        .collect()
}

impl Heidelberg {
    /// Opens a file and reads its labels.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read, is not HDF5, lacks one of the three data sets, or
    /// if a data set has another type or another number of samples than the labels.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        // A message of the system, rather than of the reader, where the file cannot be opened.
        std::fs::File::open(path).map_err(|error| FileError::unreadable(path, &error))?;
        let options = OpenOptions::default().with_max_read_bytes(LARGEST);
        let file = Hdf5File::open_with_options(path, options)
            .map_err(|error| FileError::new(path, "the whole file", error.to_string(), REMEDY))?;
        Self::of(path, &file)
    }

    fn of(path: &Path, file: &Hdf5File) -> Result<Self, FileError> {
        let told = |place: &str, problem: String| FileError::new(path, format!("data set {place}"), problem, REMEDY);
        let found = |name: &str| file.dataset(name).map_err(|error| told(name, error.to_string()));
        let bytes = |name: &str, data: &hdf5_reader::Dataset| {
            data.read_raw_bytes().map_err(|error| told(name, error.to_string()))
        };
        let labels = found("labels")?;
        let Some(form) = NumberForm::of(labels.dtype()) else {
            return Err(told("labels", format!("it has the type {:?}, but must have whole numbers", labels.dtype())));
        };
        let labels = whole_below(form.numbers(&bytes("labels", &labels)?), MOST_CLASSES).map_err(|(at, number)| {
            told(
                "labels",
                format!("sample {at} has the class {number}, but classes are whole and below {MOST_CLASSES}"),
            )
        })?;
        if labels.is_empty() {
            return Err(told("labels", "it has no samples".into()));
        }
        let lists = |name: &'static str| -> Result<Lists, FileError> {
            let data = found(name)?;
            let number = match data.dtype() {
                Datatype::VarLen { base, kind: VarLenKind::Sequence, .. } => NumberForm::of(base),
                _ => None,
            };
            let Some(number) = number else {
                let problem =
                    format!("it has the type {:?}, but must have a list of numbers for each sample", data.dtype());
                return Err(told(name, problem));
            };
            let references = bytes(name, &data)?;
            let samples = references.len() / data.vlen_reference_size();
            if samples != labels.len() {
                return Err(told(name, format!("it has {samples} samples, but there are {} labels", labels.len())));
            }
            Ok(Lists { name, data, references, number })
        };
        let lists = [lists("spikes/times")?, lists("spikes/units")?];
        let classes = labels.iter().max().map_or(0, |class| class + 1);
        Ok(Self { path: path.into(), lists: Arc::new(lists), labels: labels.into(), classes })
    }

    /// One more than the largest class.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Reads a sample.
    ///
    /// # Errors
    /// [`FileError`] if its lists cannot be read or have different lengths, if a time is negative
    /// or not finite, or if there is no such channel.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn read(&self, index: usize) -> Result<Sample, FileError> {
        let remedy = "the file is damaged: unpack the archive again";
        let told = |name: &str, problem: String| {
            FileError::new(&self.path, format!("data set {name}, sample {index}"), problem, remedy)
        };
        let of = |lists: &Lists| -> Result<Vec<u8>, FileError> {
            let size = lists.data.vlen_reference_size();
            let reference = &lists.references[index * size..(index + 1) * size];
            let bytes = lists.data.resolve_vlen_reference_bytes(reference, lists.number.size);
            bytes.map_err(|error| told(lists.name, error.to_string()))
        };
        let [times, units] = &*self.lists;
        let (time_bytes, unit_bytes) = (of(times)?, of(units)?);
        let (time_count, unit_count) = (time_bytes.len() / times.number.size, unit_bytes.len() / units.number.size);
        if time_count != unit_count {
            return Err(told(units.name, format!("it has {unit_count} spikes, but there are {time_count} times")));
        }
        let channels = whole_below(units.number.numbers(&unit_bytes), UNITS).map_err(|(at, number)| {
            told(units.name, format!("spike {at} has the channel {number}, but channels are whole and below {UNITS}"))
        })?;
        let mut events = Events::default();
        for (at, (seconds, unit)) in times.number.numbers(&time_bytes).zip(channels).enumerate() {
            // Events hold times in single precision.
            if !(seconds >= 0.0 && ((seconds * 1000.0) as f32).is_finite()) {
                return Err(told(
                    times.name,
                    format!("the time of spike {at} is {seconds} s, but must be at least 0 and finite"),
                ));
            }
            events.push(seconds * 1000.0, unit);
        }
        Ok(Sample { events, class: self.labels[index] })
    }
}

impl std::fmt::Debug for Heidelberg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (samples, classes) = (self.labels.len(), self.classes);
        write!(f, "Heidelberg {{ {}, {samples} samples, {classes} classes }}", self.path.display())
    }
}

impl Dataset<Sample> for Heidelberg {
    fn get(&self, index: usize) -> Result<Sample, DatasetError> {
        assert!(index < self.len(), "sample {index} was asked for, but the data set has {}", self.len());
        self.read(index).map_err(DatasetError::new)
    }

    fn len(&self) -> usize {
        self.labels.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of three samples, written by h5py as the data set's authors did.
    const FILE: &[u8] = include_bytes!("../../data/heidelberg-layout.h5");

    fn of(bytes: &[u8]) -> Result<Heidelberg, FileError> {
        let told = |error: hdf5_reader::error::Error| {
            FileError::new(Path::new("x.h5"), "the whole file", error.to_string(), REMEDY)
        };
        let options = OpenOptions::default().with_max_read_bytes(LARGEST);
        Heidelberg::of(Path::new("x.h5"), &Hdf5File::from_bytes_with_options(bytes, options).map_err(told)?)
    }

    #[test]
    fn samples_are_those_that_were_written() {
        let data = of(FILE).unwrap();
        assert_eq!((data.len(), data.classes()), (3, 18));
        let first = data.get(0).unwrap();
        assert_eq!(first.class, 4);
        // Times of half precision: 0.0625, 0.5 and 1.369140625 s.
        assert_eq!(first.events.iter().collect::<Vec<_>>(), [(62.5, 0), (500.0, 699), (1369.140625, 350)]);
        let second = data.get(1).unwrap();
        assert!(second.events.is_empty() && second.class == 17);
        let third = data.get(2).unwrap();
        assert_eq!(third.events.iter().collect::<Vec<_>>(), [(0.0, 12)]);
    }

    #[test]
    fn files_come_from_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shd_train.h5");
        std::fs::write(&path, FILE).unwrap();
        assert_eq!(Heidelberg::open(&path).unwrap().read(0).unwrap().events.len(), 3);
        let missing = Heidelberg::open(folder.path().join("none.h5")).unwrap_err().to_string();
        assert!(missing.contains("none.h5, the whole file"), "{missing}");
        std::fs::write(&path, "label,time\n").unwrap();
        let foreign = Heidelberg::open(&path).unwrap_err().to_string();
        assert!(foreign.contains("the whole file") && foreign.contains("give a file of SHD or SSC"), "{foreign}");
    }

    #[test]
    fn numbers_are_read_in_every_form() {
        let form = |size, kind, big_end_first| NumberForm { size, kind, big_end_first };
        let read = |form: NumberForm, bytes: &[u8]| form.numbers(bytes).collect::<Vec<_>>();
        assert_eq!(read(form(2, Kind::Real, false), &[0x00, 0x3c, 0x00, 0xb8]), [1.0, -0.5]);
        assert_eq!(read(form(4, Kind::Real, true), &1.5_f32.to_be_bytes()), [1.5]);
        assert_eq!(read(form(8, Kind::Real, false), &0.1_f64.to_le_bytes()), [0.1]);
        assert_eq!(read(form(2, Kind::Signed, true), &(-3_i16).to_be_bytes()), [-3.0]);
        assert_eq!(read(form(2, Kind::Unsigned, false), &65533_u16.to_le_bytes()), [65533.0]);
        assert_eq!(read(form(8, Kind::Signed, false), &(-9_i64).to_le_bytes()), [-9.0]);
    }

    #[test]
    fn numbers_out_of_range_are_told_with_their_place() {
        assert_eq!(whole_below([3.0, 700.0].into_iter(), UNITS), Err((1, 700.0)));
        assert_eq!(whole_below([-1.0].into_iter(), UNITS), Err((0, -1.0)));
        assert_eq!(whole_below([0.5].into_iter(), UNITS), Err((0, 0.5)));
        assert!(whole_below([f64::NAN].into_iter(), UNITS).is_err());
    }

    /// Reads everything in a file, or tells why not.
    fn read_all(bytes: &[u8]) -> Result<usize, FileError> {
        let data = of(bytes)?;
        (0..data.len()).map(|at| Ok(data.read(at)?.events.len())).sum()
    }

    #[test]
    fn truncated_files_are_told() {
        for length in 0..FILE.len() {
            if let Err(error) = read_all(&FILE[..length]) {
                assert!(error.to_string().contains("x.h5, "), "{error}");
            }
        }
        assert!(read_all(&FILE[..FILE.len() / 2]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn damaged_files_are_read_or_told(changes in proptest::collection::vec((0..FILE.len(), 0_u8..=255), 1..8)) {
            let mut bytes = FILE.to_vec();
            changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
            if let Err(error) = read_all(&bytes) {
                assert!(error.to_string().contains("x.h5, "), "{error}");
            }
        }
    }
}

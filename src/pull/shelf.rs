//! Trained models by their names: a few in memory, all on disk, read when they are asked for.
//!
//! One file a model: `iw-model-1`, a line break, and what it was trained with as JSON; written to a new name, synced and
//! renamed. The file's name is a hash of the model's.
//!
//! Not here: training.
//!
//! Invariants: at most [`MODELS_MAX`] models on disk and `CACHED_MAX` in memory; a file that cannot be read is an error for
//! that model and changes nothing else.

use super::trained::{TrainedModel, Training};
use parking_lot::Mutex;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Models that can be kept.
const MODELS_MAX: usize = 1000;
/// Models in memory; the one not asked for longest leaves.
const CACHED_MAX: usize = 64;
/// Bytes of a model's name.
const NAME_BYTES_MAX: usize = 512;
const HEADER: &str = "iw-model-1\n";
const ENDING: &str = "model";

/// Why a model cannot be given or kept.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// Nobody trained it.
    #[error("Model not found: {0}. Train first.")]
    Unknown(String),
    /// Its name is none.
    #[error("a model's name has 1 to {NAME_BYTES_MAX} bytes")]
    Name,
    /// Too many are kept.
    #[error("{MODELS_MAX} models are kept already: delete one")]
    Full,
    /// Its file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own answer.
        source: io::Error,
    },
    /// Its file is not one of ours.
    #[error("{} holds no model: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// The models of a folder.
#[derive(Debug)]
pub struct ModelShelf {
    folder: PathBuf,
    /// The one asked for last stands last.
    cached: Mutex<Vec<Arc<TrainedModel>>>,
}

impl ModelShelf {
    /// Of a folder, which is made when the first model is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, cached: Mutex::default() }
    }

    /// The file of a model.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{:016x}.{ENDING}", xxh3_64(name.as_bytes())))
    }

    /// A model, from memory or else from disk.
    ///
    /// # Errors
    /// When there is none, or its file cannot be read.
    pub fn get(&self, name: &str) -> Result<Arc<TrainedModel>, ShelfError> {
        {
            let mut cached = self.cached.lock();
            if let Some(at) = cached.iter().position(|model| model.about.name == name) {
                let model = cached.remove(at);
                cached.push(model.clone());
                return Ok(model);
            }
        }
        let training = read(&self.path(name)).map_err(|error| unknown(error, name))?;
        if training.name != name {
            return Err(ShelfError::Unknown(name.to_owned()));
        }
        let model = Arc::new(self.trained(training)?);
        self.remember(&model);
        Ok(model)
    }

    fn trained(&self, training: Training) -> Result<TrainedModel, ShelfError> {
        let path = self.path(&training.name);
        TrainedModel::train(training, &|| true).map_err(|error| ShelfError::Damaged { path, what: error.to_string() })
    }

    fn remember(&self, model: &Arc<TrainedModel>) {
        let mut cached = self.cached.lock();
        cached.retain(|other| other.about.name != model.about.name);
        if cached.len() >= CACHED_MAX {
            cached.remove(0);
        }
        cached.push(model.clone());
    }

    /// Keeps what a model was trained with, in place of an earlier one of its name; durable when it returns.
    ///
    /// # Errors
    /// When the name is none, too many are kept, or the file cannot be written.
    pub fn keep(&self, training: &Training, model: TrainedModel) -> Result<PathBuf, ShelfError> {
        if training.name.is_empty() || training.name.len() > NAME_BYTES_MAX {
            return Err(ShelfError::Name);
        }
        let path = self.path(&training.name);
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder))?;
        if !path.exists() && self.files()?.len() >= MODELS_MAX {
            return Err(ShelfError::Full);
        }
        let new = path.with_extension("new");
        let written = Training { networks: model.about.networks.clone(), ..training.clone() };
        write(&new, &written).map_err(failed(&new))?;
        fs::rename(&new, &path).map_err(failed(&path))?;
        // The folder's own entry is what the renaming changed.
        fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed(&self.folder))?;
        self.remember(&Arc::new(model));
        Ok(path)
    }

    /// How often a model of this name was trained before.
    pub fn version(&self, name: &str) -> u64 {
        self.get(name).map_or(0, |model| model.about.version)
    }

    /// Takes a model off.
    ///
    /// # Errors
    /// When there is none, or its file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), ShelfError> {
        self.cached.lock().retain(|model| model.about.name != name);
        let path = self.path(name);
        fs::remove_file(&path).map_err(failed(&path)).map_err(|error| unknown(error, name))
    }

    /// Every model, by name; what cannot be read is told in words.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(&self) -> Result<(Vec<Arc<TrainedModel>>, Vec<String>), ShelfError> {
        let (mut models, mut unreadable) = (Vec::new(), Vec::new());
        for path in self.files()? {
            let cached = self.cached.lock().iter().find(|model| self.path(&model.about.name) == path).cloned();
            let model = match cached {
                Some(model) => Ok(model),
                None => read(&path).and_then(|training| self.get(&training.name)),
            };
            match model {
                Ok(model) => models.push(model),
                Err(error) => unreadable.push(error.to_string()),
            }
        }
        models.sort_by(|a, b| a.about.name.cmp(&b.about.name));
        Ok((models, unreadable))
    }

    fn files(&self) -> Result<Vec<PathBuf>, ShelfError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.folder)(error)),
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING)).collect())
    }
}

fn unknown(error: ShelfError, name: &str) -> ShelfError {
    match error {
        ShelfError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            ShelfError::Unknown(name.to_owned())
        }
        other => other,
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ShelfError {
    let path = path.to_path_buf();
    |source| ShelfError::Io { path, source }
}

fn write(path: &Path, training: &Training) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create(path)?);
    out.write_all(HEADER.as_bytes())?;
    serde_json::to_writer(&mut out, training)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn read(path: &Path) -> Result<Training, ShelfError> {
    let text = fs::read_to_string(path).map_err(failed(path))?;
    let damaged = |what: String| ShelfError::Damaged { path: path.to_path_buf(), what };
    let body = text.strip_prefix(HEADER).ok_or_else(|| damaged("it begins otherwise".to_owned()))?;
    serde_json::from_str(body).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::trained::tests::training;
    use super::*;

    fn keep(shelf: &ModelShelf, name: &str) -> PathBuf {
        let training = training(name, 200);
        shelf.keep(&training, TrainedModel::train(training.clone(), &|| true).unwrap()).unwrap()
    }

    #[test]
    fn a_model_is_read_from_disk_and_judges_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let series = training("a b", 200).series[0].clone();
        let shelf = ModelShelf::new(folder.path().join("trained"));
        keep(&shelf, "a b");
        let before = shelf.get("a b").unwrap().judge(&series, 0);
        let again = ModelShelf::new(folder.path().join("trained"));
        assert_eq!(again.get("a b").unwrap().judge(&series, 0), before);
        assert_eq!(again.all().unwrap().0.len(), 1);
    }

    #[test]
    fn what_nobody_trained_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = ModelShelf::new(folder.path().join("none"));
        assert_eq!(shelf.get("x").unwrap_err().to_string(), "Model not found: x. Train first.");
        assert!(shelf.remove("x").is_err() && shelf.all().unwrap().0.is_empty());
        keep(&shelf, "x");
        shelf.remove("x").unwrap();
        assert!(matches!(shelf.get("x"), Err(ShelfError::Unknown(_))));
    }

    #[test]
    fn a_damaged_file_is_an_error_for_its_model_alone() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = ModelShelf::new(folder.path().into());
        keep(&shelf, "good");
        fs::write(keep(&shelf, "bad"), "iw-model-1\n{").unwrap();
        let again = ModelShelf::new(folder.path().into());
        assert!(matches!(again.get("bad"), Err(ShelfError::Damaged { .. })));
        let (models, unreadable) = again.all().unwrap();
        assert_eq!((models.len(), unreadable.len()), (1, 1));
    }

    #[test]
    fn memory_holds_a_few_and_disk_all() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = ModelShelf::new(folder.path().into());
        (0..CACHED_MAX + 3).for_each(|at| drop(keep(&shelf, &at.to_string())));
        assert_eq!(shelf.cached.lock().len(), CACHED_MAX);
        assert_eq!(shelf.get("0").unwrap().about.name, "0");
    }
}

//! A recording on disk.

use async_trait::async_trait;
use beacon_mux::{Append, Recorder};
use beacon_sdk::Sink;
use beacon_sdk::media::Playout;
use beacon_sdk::plugin::SinkError;
use std::io;
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Writes a broadcast to a fragmented MP4 file, the same bytes at every peer that has seen the
/// same media ([`Recorder`]).
///
/// Every fragment is appended whole and handed to the system at once, so a process that is killed
/// leaves a file that plays up to its last segment. When the disk fills up, what was written in
/// part is cut off again. A file has one description of its tracks: when a configuration changes,
/// recording goes on in `NAME.2.mp4`, `NAME.3.mp4` and so on.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    recorder: Recorder,
    file: Option<File>,
    /// Bytes of whole boxes in the file.
    len: u64,
    /// Files begun after the first.
    parts: u32,
    described: bool,
}

impl FileSink {
    /// Creates the file, or empties one that exists. Needs a tokio runtime from the first `write` on.
    ///
    /// # Errors
    /// [`SinkError`] naming the file and what the system says.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, SinkError> {
        let path = path.into();
        let file = std::fs::File::create(&path).map_err(|error| failed("create", &path, error))?;
        Ok(Self {
            file: Some(File::from_std(file)),
            path,
            recorder: Recorder::new(),
            len: 0,
            parts: 0,
            described: false,
        })
    }

    /// The file that is being written.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        if self.parts == 0 {
            return self.path.clone();
        }
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(format!(".{}", self.parts + 1));
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let path = self.path();
        let Some(file) = &mut self.file else {
            return Err(SinkError::new(format!("{} is already finished", path.display())));
        };
        let written = async {
            file.write_all(bytes).await?;
            // Waits until the system has the bytes; tokio writes behind the caller's back.
            file.flush().await
        };
        if let Err(error) = written.await {
            // Whole fragments or nothing; when even this fails, readers still stop before the torn one.
            let _ = file.set_len(self.len).await;
            return Err(failed("write to", &path, error));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    async fn next_part(&mut self) -> Result<(), SinkError> {
        self.finish().await?;
        self.parts += 1;
        let path = self.path();
        let file = File::create(&path).await.map_err(|error| failed("create", &path, error))?;
        (self.file, self.len) = (Some(file), 0);
        Ok(())
    }
}

fn failed(what: &str, path: &Path, error: io::Error) -> SinkError {
    let cure = match error.kind() {
        io::ErrorKind::NotFound => "; create the folder first",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a place you may write to"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        _ => "",
    };
    SinkError {
        context: format!("cannot {what} {}: {error}{cure}", path.display()),
        source: Some(Box::new(error)),
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        let append = self.recorder.push(&item).map_err(|error| SinkError {
            context: format!("cannot record to {}: {error}", self.path().display()),
            source: Some(Box::new(error)),
        })?;
        match append {
            Append::Nothing => Ok(()),
            Append::Fragment(bytes) => self.append(&bytes).await,
            Append::Init(bytes) => {
                if self.described {
                    self.next_part().await?;
                }
                self.described = true;
                self.append(&bytes).await
            }
        }
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        let path = self.path();
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let synced = async {
            file.flush().await?;
            file.sync_all().await
        };
        synced.await.map_err(|error| failed("finish", &path, error))
    }
}

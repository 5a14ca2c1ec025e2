//! The zip of one function, in which nothing depends on when or where it was made.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::time::UtcDateTime;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use sha2::{Digest, Sha256};

/// The name under which Lambda looks for a program.
const BOOTSTRAP: &str = "bootstrap";
const PROGRAM: u32 = 0o755;
const TEXT: u32 = 0o644;

/// A file of a package.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    mode: u32,
}

impl File {
    /// The program that Lambda starts.
    pub(super) fn program(bytes: Vec<u8>) -> File {
        File { name: BOOTSTRAP, bytes, mode: PROGRAM }
    }

    /// A text that goes along with it.
    pub(super) fn text(name: &'static str, text: String) -> File {
        File { name, bytes: text.into_bytes(), mode: TEXT }
    }
}

pub(super) fn of(files: &[File]) -> anyhow::Result<Vec<u8>> {
    let beginning_of_zip = UtcDateTime::from_components(1980, 1, 1, 0, 0, 0, 0).context("no date")?;
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for file in files {
        let new = zip.new_file(file.name).compression_method(CompressionMethod::DEFLATE);
        let (mut entry, checks) = new.last_modified(beginning_of_zip).unix_permissions(file.mode).start()?;
        let mut writer = checks.wrap(DeflateEncoder::new(&mut entry, Compression::best()));
        writer.write_all(&file.bytes)?;
        let (encoder, sums) = writer.finish()?;
        encoder.finish()?;
        entry.finish(sums)?;
    }
    Ok(zip.finish()?)
}

/// The folder from which `sam deploy` makes a zip of its own.
pub(super) fn write_folder(folder: &Path, files: &[File]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for file in files {
        let path = folder.join(file.name);
        std::fs::write(&path, &file.bytes)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rawzip::ZipArchive;

    use super::*;

    #[test]
    fn a_zip_holds_the_program_and_its_texts_and_is_the_same_each_time() {
        let files = [File::program(b"the code".to_vec()), File::text("LICENSES", "a text".to_owned())];
        let zip = of(&files).unwrap();
        assert_eq!(zip, of(&files).unwrap());
        let archive = ZipArchive::from_slice(&zip).unwrap();
        let mut entries = archive.entries();
        for (name, mode) in [(BOOTSTRAP, PROGRAM), ("LICENSES", TEXT)] {
            let entry = entries.next_entry().unwrap().unwrap();
            assert_eq!(entry.file_path().as_ref(), name.as_bytes());
            assert_eq!(entry.mode().permissions(), mode);
        }
        assert!(entries.next_entry().unwrap().is_none());
    }
}

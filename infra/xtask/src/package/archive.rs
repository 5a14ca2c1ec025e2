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

pub(super) fn of(code: &[u8]) -> anyhow::Result<Vec<u8>> {
    let beginning_of_zip = UtcDateTime::from_components(1980, 1, 1, 0, 0, 0, 0).context("no date")?;
    let mut zip = ZipArchiveWriter::new(Vec::new());
    let program = zip.new_file(BOOTSTRAP).compression_method(CompressionMethod::DEFLATE);
    let (mut entry, checks) = program.last_modified(beginning_of_zip).unix_permissions(PROGRAM).start()?;
    let mut writer = checks.wrap(DeflateEncoder::new(&mut entry, Compression::best()));
    writer.write_all(code)?;
    let (encoder, sums) = writer.finish()?;
    encoder.finish()?;
    entry.finish(sums)?;
    Ok(zip.finish()?)
}

/// The folder from which `sam deploy` makes a zip of its own.
pub(super) fn write_bootstrap(folder: &Path, code: &[u8]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(BOOTSTRAP);
    std::fs::write(&path, code)?;
    Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(PROGRAM))?)
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rawzip::ZipArchive;

    use super::*;

    #[test]
    fn a_zip_holds_one_program_and_is_the_same_each_time() {
        let zip = of(b"the code").unwrap();
        assert_eq!(zip, of(b"the code").unwrap());
        let archive = ZipArchive::from_slice(&zip).unwrap();
        let mut entries = archive.entries();
        let program = entries.next_entry().unwrap().unwrap();
        assert_eq!(program.file_path().as_ref(), BOOTSTRAP.as_bytes());
        assert_eq!(program.mode().permissions(), PROGRAM);
        assert!(entries.next_entry().unwrap().is_none());
    }
}

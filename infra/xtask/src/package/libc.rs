//! Whether a binary runs where Lambda runs it: its processor, and the newest glibc that it asks for.

use anyhow::{Context, ensure};
use object::read::elf::{ElfFile64, FileHeader};
use object::{Architecture as Machine, Endianness, Object};

use super::Architecture;

/// The glibc of `provided.al2023`.
pub(super) const OF_THE_RUNTIME: &str = "2.34";

/// Fails when Lambda's runtime cannot load the program.
pub(super) fn check(program: &[u8], architecture: Architecture) -> anyhow::Result<()> {
    check_against(program, architecture, OF_THE_RUNTIME)
}

fn check_against(program: &[u8], architecture: Architecture, glibc: &str) -> anyhow::Result<()> {
    let elf = ElfFile64::<Endianness>::parse(program).context("it is no program of a 64-bit Linux")?;
    let machine = match architecture {
        Architecture::Arm64 => Machine::Aarch64,
        Architecture::X86_64 => Machine::X86_64,
    };
    ensure!(elf.architecture() == machine, "it is built for {:?}", elf.architecture());
    let newest = needed(&elf)?.into_iter().max().unwrap_or_default();
    let most = version(glibc).context("a glibc has two numbers")?;
    ensure!(newest <= most, "it needs glibc {}.{}, and the runtime has {glibc}", newest.0, newest.1);
    Ok(())
}

/// The versions of glibc that its symbols are bound to.
fn needed(elf: &ElfFile64<'_, Endianness>) -> anyhow::Result<Vec<(u32, u32)>> {
    let (endian, data) = (elf.endian(), elf.data());
    let sections = elf.elf_header().sections(endian, data)?;
    let mut versions = Vec::new();
    let Some((mut libraries, strings)) = sections.gnu_verneed(endian, data)? else { return Ok(versions) };
    let strings = sections.strings(endian, data, strings)?;
    while let Some((_, mut symbols)) = libraries.next()? {
        while let Some(symbol) = symbols.next()? {
            let name = String::from_utf8_lossy(symbol.name(endian, strings)?).into_owned();
            versions.extend(name.strip_prefix("GLIBC_").and_then(version));
        }
    }
    Ok(versions)
}

/// `2.34` as numbers, so that 2.4 comes before 2.34. A third number is left out.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why this test's own program would be refused.
    fn refusal(architecture: Architecture, glibc: &str) -> Option<String> {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        check_against(&own, architecture, glibc).err().map(|error| error.to_string())
    }

    #[test]
    fn a_program_of_another_processor_or_a_newer_glibc_is_refused() {
        let own = Architecture::own().unwrap();
        let other = Architecture::ALL.into_iter().find(|known| *known != own).unwrap();
        assert_eq!(refusal(own, "2.99"), None);
        assert!(refusal(own, "2.4").unwrap().contains("the runtime has 2.4"), "2.4 is older than 2.34");
        assert!(refusal(other, "2.99").unwrap().starts_with("it is built for"));
        assert!(check(b"#!/bin/sh", own).is_err());
    }
}

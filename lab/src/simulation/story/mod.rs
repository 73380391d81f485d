//! A story that a seed tells: people change objects, machines and networks fail, the schedulers are
//! killed and started again. Some things hold all the while ([`witness`]); and when all is mended,
//! everything must be as the specs say ([`ending`]).

mod ending;
mod machines;
mod objects;
mod packing;
mod people;
mod rooms;
mod step;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::ListParams;
use kube::{Client, ResourceExt as _};
use tokio::time::sleep;

use super::faults::Faults;
use super::operator::Operator;
use super::world::{Error, World, apply};
use crate::simulated::{Options, Random};
use objects::{Served, of};
use step::Step;
use witness::Witness;

/// How long a story is.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Things that happen.
    pub steps: usize,
    /// The share of requests that go wrong, from 0 to 1.
    pub faults: f64,
}

impl Default for Length {
    /// Forty things, and two of a hundred requests.
    fn default() -> Self {
        Self {
            steps: 40,
            faults: 0.02,
        }
    }
}

/// What came of a story.
#[derive(Debug)]
pub struct Ending {
    /// All that happened, line by line.
    pub trace: String,
    /// What is not as it must be, for people.
    pub violations: Vec<String>,
}

/// What every copy of the scheduler is told.
const FLAGS: [&str; 3] = [
    "--cluster-toleration=2m",
    "--deletion-grace=1m",
    "--deadline=5s",
];
/// After this long without faults everything is as it shall be.
const SETTLED: Duration = Duration::from_mins(15);
/// How often somebody asks for a move, between two things that happen.
const ASKED: f64 = 0.2;
/// Of so many seeds, one tells of a calm world.
const CALM: u64 = 4;
/// And of so many, one of two copies of the scheduler.
const COPIES: u64 = 3;

/// Tells the story of a seed to its end. Within [`super::run`].
pub async fn tell(seed: u64, length: Length) -> Result<Ending, Error> {
    let mut story = Story::begin(seed, length).await?;
    for _ in 0..length.steps {
        story.step().await?;
    }
    story.mend().await?;
    sleep(SETTLED).await;
    story.tell_all().await?;
    story.check_end().await?;
    let mut violations = story.witness.violations();
    violations.append(&mut story.violations);
    Ok(Ending {
        trace: story.world.trace.text(),
        violations,
    })
}

struct Story {
    world: World,
    random: Random,
    /// When and which moves are asked for: with and without them, the rest of a story is the same.
    asking: Random,
    witness: Witness,
    /// Nothing fails: then every move must keep what is available.
    calm: bool,
    schedulers: BTreeMap<String, Operator>,
    /// Nodes that are lost, by member.
    lost: BTreeSet<(String, String)>,
    /// How many nodes were removed, by member.
    removed: BTreeMap<String, usize>,
    /// Members that have left the federation.
    left: BTreeSet<String>,
    /// Owners of what was on a member when it left: nobody may take that away.
    left_behind: BTreeSet<(String, String)>,
    violations: Vec<String>,
}

impl Story {
    async fn begin(seed: u64, length: Length) -> Result<Self, Error> {
        let mut random = Random::new(seed, "story");
        let count = 2 + random.below(3);
        let members: BTreeMap<String, Options> = (1..=count)
            .map(|number| {
                let nodes = 1 + random.below(5);
                (format!("cluster{number}"), Options::uniform(nodes))
            })
            .collect();
        let world = World::start(seed, members).await?;
        let client = world.member_client("cluster1").ok_or("no cluster1")?;
        apply(&client, &objects::foreign()).await?;
        let calm = seed % CALM == CALM - 1;
        let witness = Witness::new(calm, world.trace.clone());
        witness.watch_hub(&world.hub_client());
        for name in world.members.keys() {
            let client = world.member_client(name).ok_or("no such member")?;
            witness.watch_member(name, &client);
        }
        if !calm {
            world.network.set_faults(Faults::new(seed, length.faults));
            // Half of the stories have lists in many pages.
            world
                .network
                .set_page(random.happens(0.5).then(|| 1 + random.below(3)));
        }
        let mut schedulers = BTreeMap::new();
        if !calm && seed.is_multiple_of(COPIES) {
            for name in ["scheduler-a", "scheduler-b"] {
                schedulers.insert(name.to_owned(), world.copy_of_scheduler(name, &FLAGS)?);
            }
        } else {
            schedulers.insert("scheduler".to_owned(), world.scheduler(&FLAGS)?);
        }
        Ok(Self {
            world,
            random,
            asking: Random::new(seed, "moves"),
            witness,
            calm,
            schedulers,
            lost: BTreeSet::new(),
            removed: BTreeMap::new(),
            left: BTreeSet::new(),
            left_behind: BTreeSet::new(),
            violations: Vec::new(),
        })
    }

    /// One thing happens, after a while.
    async fn step(&mut self) -> Result<(), Error> {
        sleep(Duration::from_millis(self.random.below(60_000) as u64)).await;
        let step = Step::draw(&mut self.random, self.calm);
        // People are refused, too: what is not there cannot be changed.
        if let Err(error) = self.take(step).await {
            self.note(&format!("refused: {error}"));
        }
        if self.asking.happens(ASKED)
            && let Err(error) = self.ask_for_a_move().await
        {
            self.note(&format!("refused: {error}"));
        }
        self.check_rooms();
        self.tell_all().await
    }

    /// Shows every object with its placements in the trace, for whoever looks for a fault.
    async fn tell_all(&self) -> Result<(), Error> {
        for kind in Served::ALL {
            let api = of(&self.world.hub_client(), &kind.on_hub(), None);
            for object in api.list(&ListParams::default()).await? {
                let status = &object.data["status"];
                let placements = status["placements"].as_array().cloned();
                let placements: Vec<_> = placements
                    .iter()
                    .flatten()
                    .map(|one| format!("{}:{}-{}", one["cluster"], one["replicas"], one["leaving"]))
                    .collect();
                self.note(&format!(
                    "   {kind:?} {} {} {placements:?} {} sequence {}",
                    object.name_any(),
                    object.uid().unwrap_or_default(),
                    status["unplacedReplicas"],
                    status["decision"]["sequence"]
                ));
            }
        }
        Ok(())
    }

    fn note(&self, what: &str) {
        self.world.trace.line(&format!("== {what}"));
    }

    /// A member, any.
    fn member(&mut self) -> String {
        let number = self.random.below(self.world.members.len());
        let mut names = self.world.members.keys();
        names.nth(number).cloned().unwrap_or_default()
    }

    fn member_client(&self, name: &str) -> Result<Client, Error> {
        Ok(self.world.member_client(name).ok_or("no such member")?)
    }

    fn violation(&mut self, what: String) {
        self.note(&format!("VIOLATION: {what}"));
        self.violations.push(what);
    }
}

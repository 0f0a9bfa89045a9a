//! Floor 3: the scenario.

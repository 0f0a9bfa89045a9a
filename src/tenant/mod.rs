//! Floor 2: rules that say whose a statement is.

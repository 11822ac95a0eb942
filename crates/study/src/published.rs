//! The paper's own numbers, to be drawn beside ours and never mixed into our averages.

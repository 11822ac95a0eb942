-- Seeds that were added to a study after it began. Its plan holds them; that they came later is told beside every p-value.

create table seed_addition (
    study integer not null constraint seed_addition_study references study (id) on delete cascade,
    seeds_before integer not null,
    seeds_after integer not null,
    added_at integer not null,
    -- Runs of which an accuracy could be seen by then.
    runs_seen integer not null constraint seed_addition_runs_seen_are_counted check (runs_seen >= 0),
    -- A study has so many seeds once.
    constraint seed_addition_key primary key (study, seeds_before),
    constraint seed_addition_adds check (seeds_after > seeds_before)
) strict, without rowid;

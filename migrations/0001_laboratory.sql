-- What the laboratory knows. Segment folders are the truth about a training; this is the index that makes it fast to read.
-- Nothing here is a status: status is derived. Times are seconds since 1970-01-01 UTC.

create table study (
    -- Never given twice: the address of a deleted study must not lead to another.
    id integer constraint study_id primary key autoincrement,
    created_at integer not null,
    -- When a person asked for it to stop.
    stopped_at integer,
    spec text not null constraint study_spec_is_json check (json_valid(spec)),
    plan text not null constraint study_plan_is_json check (json_valid(plan)),
    dataset text not null constraint study_dataset_is_json check (json_valid(dataset))
) strict;

-- A segment lives while any study uses it. Its number stands for its key in every row below.
create table segment (
    id integer constraint segment_id primary key,
    key text not null constraint segment_key unique,
    -- Bytes of the folder's events.jsonl that are recorded here.
    events_offset integer not null default 0
) strict;

create table study_segment (
    study integer not null constraint study_segment_study references study (id) on delete cascade,
    segment integer not null constraint study_segment_segment references segment (id),
    -- Where the segment stands among the plan's segments, as this study asks for it.
    position integer not null,
    constraint study_segment_key primary key (study, segment)
) strict, without rowid;

create index study_segment_by_segment on study_segment (segment);

-- The same run in two studies has one name.
create table study_run (
    run text not null,
    study integer not null constraint study_run_study references study (id) on delete cascade,
    constraint study_run_key primary key (run, study)
) strict, without rowid;

create index study_run_by_study on study_run (study);

-- One row an epoch, the bulk of the file: numbers in columns, the segment by its number.
create table epoch (
    segment integer not null constraint epoch_segment references segment (id) on delete cascade,
    epoch integer not null constraint epoch_is_counted check (epoch >= 0),
    learning_rate real not null,
    train_cross_entropy real not null,
    train_accuracy real not null,
    train_clean_cross_entropy real,
    train_clean_accuracy real,
    validation_cross_entropy real,
    validation_accuracy real,
    test_cross_entropy real,
    test_accuracy real,
    seconds real not null,
    images_per_second real not null,
    constraint epoch_key primary key (segment, epoch),
    constraint epoch_train_clean_is_whole check ((train_clean_cross_entropy is null) = (train_clean_accuracy is null)),
    constraint epoch_validation_is_whole check ((validation_cross_entropy is null) = (validation_accuracy is null)),
    constraint epoch_test_is_whole check ((test_cross_entropy is null) = (test_accuracy is null))
) strict, without rowid;

-- A teacher and a temperature that students are measured against. The teacher is named by its key and not referenced: what a
-- student scored against it stays true after the teacher's own rows are gone. Few and small, so none is ever removed.
create table observer (
    id integer constraint observer_id primary key,
    teacher_segment text not null,
    teacher_epoch integer not null,
    temperature real not null,
    constraint observer_key unique (teacher_segment, teacher_epoch, temperature)
) strict;

create table fidelity (
    segment integer not null,
    epoch integer not null,
    observer integer not null constraint fidelity_observer references observer (id),
    kd_loss_train real,
    kd_loss_validation real,
    agreement_train real,
    agreement_validation real,
    constraint fidelity_key primary key (segment, epoch, observer),
    constraint fidelity_epoch foreign key (segment, epoch) references epoch (segment, epoch) on delete cascade
) strict, without rowid;

-- File first, row second: a row promises a file.
create table checkpoint (
    segment integer not null constraint checkpoint_segment references segment (id) on delete cascade,
    epoch integer not null constraint checkpoint_epoch_is_counted check (epoch >= 0),
    kept text not null constraint checkpoint_kept check (kept in ('stop', 'best', 'latest')),
    digest text not null,
    bytes integer not null constraint checkpoint_bytes_are_counted check (bytes >= 0),
    constraint checkpoint_key primary key (segment, epoch)
) strict, without rowid;

-- Why a segment cannot go on. Gone once a worker has begun again.
create table failure (
    segment integer constraint failure_segment_key primary key
        constraint failure_segment references segment (id) on delete cascade,
    epoch integer not null,
    reason text not null,
    may_succeed_again integer not null constraint failure_may_succeed_again check (may_succeed_again in (0, 1))
) strict;

-- Where and by what a segment was trained last.
create table provenance (
    segment integer constraint provenance_segment_key primary key
        constraint provenance_segment references segment (id) on delete cascade,
    version text not null,
    training_version integer not null,
    host text not null,
    instruction_set text not null,
    threads integer not null,
    device text not null,
    data_checksum text not null
) strict;

create table note (
    id integer constraint note_id primary key,
    segment integer not null constraint note_segment references segment (id) on delete cascade,
    message text not null,
    -- A worker that begins again may say a thing twice.
    constraint note_said_once unique (segment, message)
) strict;

-- A frozen comparison behind a link. It outlives its study, and only a digest of its token is kept.
create table share (
    id integer constraint share_id primary key autoincrement,
    token_digest blob not null constraint share_token_digest unique
        constraint share_token_digest_is_whole check (length(token_digest) = 32),
    study integer constraint share_study references study (id) on delete set null,
    title text not null,
    payload text not null constraint share_payload_is_json check (json_valid(payload)),
    created_at integer not null,
    expires_at integer,
    revoked_at integer,
    last_opened_at integer
) strict;

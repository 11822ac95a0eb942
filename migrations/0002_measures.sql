-- What networks are worth beside accuracy, and where the gradients of their losses conflict. Absent where it was trained before this.
-- Every epoch has these numbers: each takes as few bytes as what it says is worth.

-- Expected calibration errors on held-out images, in steps of 0.0001: of scores, so only where there are some.
alter table epoch add column validation_calibration_error integer
    constraint epoch_validation_is_scored check (validation_calibration_error is null or validation_accuracy is not null);
alter table epoch add column test_calibration_error integer
    constraint epoch_test_is_scored check (test_calibration_error is null or test_accuracy is not null);

-- Cosines of gradients, of all parameters and then of each group of layers from the images on: ten bits each, the lowest first,
-- that count steps of 0.002 from 512 on; 0 where there is none.
alter table fidelity add column gradient_cosine blob
    constraint fidelity_gradient_cosine_is_whole check (length(gradient_cosine) > 1);

-- Where test is evaluated, which few epochs are.
create table test_fidelity (
    segment integer not null,
    epoch integer not null,
    observer integer not null,
    kd_loss real,
    agreement real,
    constraint test_fidelity_key primary key (segment, epoch, observer),
    constraint test_fidelity_of_fidelity foreign key (segment, epoch, observer)
        references fidelity (segment, epoch, observer) on delete cascade
) strict, without rowid;

-- What networks are worth beside accuracy, and where the gradients of their losses conflict. Absent where it was trained before this.

-- Expected calibration errors: of scores, so only where there are some.
alter table epoch add column train_clean_calibration_error real
    constraint epoch_train_clean_is_scored check (train_clean_calibration_error is null or train_clean_accuracy is not null);
alter table epoch add column validation_calibration_error real
    constraint epoch_validation_is_scored check (validation_calibration_error is null or validation_accuracy is not null);
alter table epoch add column test_calibration_error real
    constraint epoch_test_is_scored check (test_calibration_error is null or test_accuracy is not null);

alter table fidelity add column kd_loss_test real;
alter table fidelity add column agreement_test real;
-- Cosines of gradients, of all parameters and then of each group of layers from the images on: steps of 0.0001 as little-endian
-- numbers of two bytes, the lowest of which is no cosine. As columns of their own they would take four times the room.
alter table fidelity add column gradient_cosine blob
    constraint fidelity_gradient_cosine_is_whole check (length(gradient_cosine) > 0 and length(gradient_cosine) % 2 = 0);

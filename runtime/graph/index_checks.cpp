#include "graph/index_checks.h"

#include "base/error.h"

namespace trireme {

void check_label(int32_t label, int64_t classes, int64_t sample, const StepScalars& scalars) {
  if (label >= 0 && label < classes) return;
  throw DataError(
      "sample {} of the batch of step {} has label {}, but the model has {} classes, 0 to {}; check the "
      "labels of the data set, or give the model more outputs",
      scalars.first_sample + sample, scalars.step, label, classes, classes - 1);
}

void check_token(int32_t token, int64_t vocabulary, int64_t sample, int64_t position,
                 const StepScalars& scalars) {
  if (token >= 0 && token < vocabulary) return;
  throw DataError(
      "sample {} of the batch of step {} has token {} at position {}, but the model has a vocabulary of {}, "
      "0 "
      "to {}; check that the model was made for this data set",
      scalars.first_sample + sample, scalars.step, token, position, vocabulary, vocabulary - 1);
}

}  // namespace trireme

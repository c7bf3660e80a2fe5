// What a trainer changed in a model while it trained, as the meta beside a checkpoint says.
#pragma once

#include <cstdint>
#include <optional>

#include "core/model/model.h"

namespace kappascope {

// First step of training at which the bound U of κ was the one of the configuration: after the
// steps without κ it rose from 1, over a share of all steps or as long as the rate of κ. All steps:
// those of the trainer's settings, else the newest of the folder. Nothing where the files say
// neither.
std::optional<std::int64_t> warm_up_end(const Model& model);

}  // namespace kappascope

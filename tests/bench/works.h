// The works of kappascope_bench by file.
#pragma once

#include "tests/bench/work.h"

namespace kappascope::bench {

void add_layer_works(std::map<std::string, Maker>& makers);     // layer_works.cpp
void add_model_works(std::map<std::string, Maker>& makers);     // model_works.cpp
void add_decode_work(std::map<std::string, Maker>& makers);     // decode_work.cpp
void add_training_works(std::map<std::string, Maker>& makers);  // training_works.cpp

}  // namespace kappascope::bench

// kappascope_bench: the works that tests/bench/bench.py measures.
#include "tests/bench/works.h"

int main() {
  std::map<std::string, kappascope::bench::Maker> makers;
  kappascope::bench::add_layer_works(makers);
  kappascope::bench::add_model_works(makers);
  kappascope::bench::add_decode_work(makers);
  kappascope::bench::add_training_works(makers);
  return kappascope::bench::serve(makers);
}

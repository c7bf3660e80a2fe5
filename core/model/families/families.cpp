#include "core/model/families/family.h"

namespace kappascope {

std::span<const Family> families() {
  static const Family kFamilies[] = {kNanochat};
  return kFamilies;
}

}  // namespace kappascope

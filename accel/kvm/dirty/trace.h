#include "trace/trace-accel_kvm_dirty.h"

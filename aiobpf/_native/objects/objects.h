/*
 * Python objects written in C: those of which a program makes millions a second. Everything else is in the cffi unit.
 *
 * Only the limited API of Python 3.11 (one module serves 3.11 and all that follow). Each unit adds its types to the
 * module through one function, declared here.
 */
#ifndef AIOBPF_OBJECTS_H
#define AIOBPF_OBJECTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#endif

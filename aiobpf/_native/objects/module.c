#include "objects.h"

/* Called when the module is imported, in each interpreter; each unit's types are added in turn. */
static int execute(PyObject *module)
{
	(void)module;
	return 0;
}

static PyModuleDef_Slot slots[] = {
	{Py_mod_exec, execute},
	{0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "aiobpf._native._objects",
	.m_doc = "Python objects of which a program makes millions a second.",
	.m_slots = slots,
};

PyMODINIT_FUNC PyInit__objects(void)
{
	return PyModuleDef_Init(&definition);
}

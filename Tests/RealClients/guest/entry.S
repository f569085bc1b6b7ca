# A multiboot kernel's header and its first instructions: a stack, then main(info).
	.section .multiboot, "a"
	.long 0x1badb002, 0, -0x1badb002

	.text
	.globl _start
_start:
	mov $stack_end, %esp
	push %ebx
	call main
1:	hlt
	jmp 1b

	.bss
	.balign 16
	.skip 16384
stack_end:

	.section .note.GNU-stack, "", @progbits

# SPDX-License-Identifier: GPL-2.0-or-later
"""Mistakes in patches/linux that the kernel's selftests must notice.

Each is a name, the host's CPUs, the checks of tests/scenarios/kselftest.py of
which every one must fail, and edits: file, old text, which must be there
exactly once, and new text.

Not here, as emulation hides them: flushes of TLBs (leaving the guest flushes
TCG's, which besides caches no upper levels of a table), and mmu_lock held for
read where write is needed (the gap is a few instructions wide).
"""

MMU = 'arch/x86/kvm/mmu/mmu.c'
TDP = 'arch/x86/kvm/mmu/tdp_mmu.c'
X86 = 'arch/x86/kvm/x86.c'
RING = 'virt/kvm/dirty_ring.c'
MAIN = 'virt/kvm/kvm_main.c'

# A vCPU that is slow to count the entry that user space can see already.  A
# host of one CPU would not let anybody look meanwhile.
SLOW_PUSH = [
    (RING, '#include <linux/vmalloc.h>\n',
     '#include <linux/vmalloc.h>\n#include <linux/delay.h>\n'),
    (RING, '\tkvm_dirty_gfn_set_dirtied(entry);\n\tring->dirty_index++;',
     '\tkvm_dirty_gfn_set_dirtied(entry);\n\tudelay(20);\n'
     '\tring->dirty_index++;')]

MUTANTS = [
    # Write protection in upper levels
    ('fast-path-blind', 1, ['tracking', 'wp-all'], [
        (MMU, 'if (fault->write && wrprot_above)\n\t\t\tbreak;',
         '')]),
    ('no-push-down', 1, ['tracking'], [
        (TDP, 'tdp_mmu_push_down_wrprot(kvm, &iter))',
         'false && tdp_mmu_push_down_wrprot(kvm, &iter))')]),
    ('push-down-spares-children', 1, ['tracking', 'wp-all'], [
        (TDP, 'flush |= tdp_mmu_wrprot_spte(kvm, iter->as_id, child_pt + i,',
         'if (i < 0)\n\t\t\t'
         'tdp_mmu_wrprot_spte(kvm, iter->as_id, child_pt + i,')]),
    ('push-down-spares-leaves', 1, ['tracking', 'wp-all'], [
        (TDP, '\tif (!is_writable_pte(old_spte))\n'
         '\t\t\treturn !is_last_spte(old_spte, level);',
         '\tif (!is_writable_pte(old_spte) || is_last_spte(old_spte, level))\n'
         '\t\t\treturn !is_last_spte(old_spte, level);')]),
    ('push-down-half', 1, ['tracking'], [
        (TDP, 'SPTE_ENT_PER_PAGE; i++)\n\t\tflush |=',
         'SPTE_ENT_PER_PAGE / 2; i++)\n\t\tflush |=')]),

    # Protecting all memory
    ('wp-all-protects-nothing', 1, ['tracking', 'wp-all'], [
        (MMU, '\t\tkvm_tdp_mmu_wrprot_all(kvm);\n', '')]),
    ('take-clears-nothing', 1, ['tracking'], [
        (MAIN, 'xchg(&memslot->dirty_bitmap[i], 0) : 0;',
         'READ_ONCE(memslot->dirty_bitmap[i]) : 0;')]),
    ('take-loses-what-it-cannot-copy', 1, ['tracking'], [
        (MAIN, 'if (!copy_to_user(log->dirty_bitmap, taken, n))\n'
         '\t\treturn 0;\n\n\t/* These',
         'return copy_to_user(log->dirty_bitmap, taken, n) ? -EFAULT : 0;\n\n'
         '\t/* These')]),

    # Overflow
    ('overflow-no-bit', 1, ['tracking', 'ring-overflow'], [
        (MAIN, 'set_bit_le(rel_gfn, memslot->dirty_bitmap);\n'
         '\t\t\tif (kvm->dirty_ring_size && vcpu)',
         'if (!vcpu)\n'
         '\t\t\t\tset_bit_le(rel_gfn, memslot->dirty_bitmap);\n'
         '\t\t\tif (kvm->dirty_ring_size && vcpu)')]),
    ('overflow-no-count', 1, ['tracking', 'ring-overflow'], [
        (RING, 'WRITE_ONCE(ring->overflowed, ring->overflowed + 1);', '')]),

    # Reset
    ('reset-skips-last-run', 1, ['tracking'], [
        (RING, '\tkvm_reset_dirty_gfn(&ctx, cur_slot, cur_offset, mask);\n'
         '\tkvm_dirty_ring_reset_unlock(&ctx);\n\tkvm_dirty_ring_arm',
         '\tkvm_dirty_ring_reset_unlock(&ctx);\n\tkvm_dirty_ring_arm')]),
    ('reset-bound-by-index', 2, ['tracking', 'dirty-ring'], SLOW_PUSH + [
        (RING, 'while (count < ring->size &&',
         'while (kvm_dirty_ring_used(ring) &&')]),
    ('reset-takes-one', 1, ['tracking', 'dirty-ring'], [
        (RING, 'while (count < ring->size &&', 'while (count < 1 &&')]),

    # Watermark
    ('watermark-silent', 1, ['tracking'], [
        (RING, 'vcpu))\n\t\teventfd_signal(vcpu->kvm->dirty_ring_eventfd);',
         'vcpu))\n\t\treturn;')]),
    ('watermark-once', 1, ['tracking'], [
        (RING, 'smp_store_mb(ring->armed, true);', 'smp_mb();')]),
    ('watermark-below-zero', 2, ['tracking'], SLOW_PUSH + [
        (RING, 'return used >= (s32)kvm', 'return (u32)used >= kvm')]),
]

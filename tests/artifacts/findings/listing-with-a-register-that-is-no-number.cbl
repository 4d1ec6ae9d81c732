program 483794c5341ff2983a8d10f48e34706acaec912a
  constant a174   ; 0: 't'
  constant 01   ; 1: 1
  constant a16b   ; 2: 'k'
  constant a176   ; 3: 'v'
  constant a173   ; 4: 's'
  constant 00   ; 5: 0
  constant a162   ; 6: 'b'
  constant a161   ; 7: 'a'
  constant 02   ; 8: 2
  constant a16e   ; 9: 'n'
  constant 93a464696374a16993a46c6973740708   ; 10: {'i': [7, 8]}
  constant a169   ; 11: 'i'
  literals 0 1 2 3 4 5 6 7 5 8 2 1 9 7 5 5 6 10 11 5
  input "x" param type "int" default -

blueprint 483794c5341ff2983a8d10f48e34706acaec912a
  registers 24   literals 20   inputs "x"
  symbol "golden_flows:later" async version "1" signature "(x, *, by=…)"
  symbol "golden_flows:inc" sync version "1" signature "(x)"
  symbol "golden_flows:show" sync version "1" signature "(*args, **named)"
  symbol "golden_flows:same" sync version "1" signature "(x)"
strand 0 eager
     0  %18   R21 = spawn golden_flows:later(R20)                       @ golden_flows.py:96   ; live 22 registers
strand 1
     1  %1    R22 = call golden_flows:inc(R20)                          @ golden_flows.py:96   ; live 23 registers
     2  %2    R22 = build list(R22)                                      ; live 23 registers
     3  %3    R23 = call golden_flows:inc(R20)                          @ golden_flows.py:96   ; live 24 registers
     4  %5    R0 = build tuple(R23, R0)                                 dead R23   ; live 23 registers
     5  %6    R23 = call golden_flows:inc(R20)                          @ golden_flows.py:96   ; live 24 registers
     6  %8    R1 = call golden_flows:inc(R1)                            @ golden_flows.py:96   ; live 24 registers
     7  %11   R3 = build dict(R2, R23, R1, R3)                          dead R1 R2 R23   ; live 21 registers
     8  %12   R1 = call golden_flows:inc(R20)                           @ golden_flows.py:96   ; live 22 registers
     9  %14   R1 = build set(R4, R1)                                    dead R4   ; live 21 registers
    10  %15   R4 = call golden_flows:inc(R20)                           @ golden_flows.py:96   ; live 22 registers
    11  %17   R4 = build frozenset(R5, R4)                              dead R5   ; live 21 registers
strand 2 needs 1 awaits 0
    13  %21   R21 = build tuple(R21)                                     ; live 20 registers
    14  %22   R21 = build list(R21)                                      ; live 20 registers
    15  %24   R21 = build dict(R7, R21)                                 dead R7   ; live 19 registers
    16  %25   R21 = call golden_flows:show(R22, R0, R3, R1, R4, n=R21)  dead R0 R1 R3 R4 R22  @ golden_flows.py:96   ; live 14 registers
    17  %27   R8 = item(R21, R8)                                        @ golden_flows.py:97   ; live 14 registers
    26  %37   R13 = item(R12, R13)                                      dead R12  @ golden_flows.py:97   ; live R10 R13 R14 R15 R16 R19 R20 R21
    18  %45   R17 = call golden_flows:same(R17)                         @ golden_flows.py:97   ; live 14 registers
    19  %47   R18 = item(R17, R18)                                      dead R17  @ golden_flows.py:97   ; live 13 registers
    20  %49   R19 = call golden_flows:inc(R19)                          @ golden_flows.py:97   ; live 13 registers
    21  %50   R19 = item(R18, R19)                                      dead R18  @ golden_flows.py:97   ; live 12 registers
strand 4 needs 2 3
    22  %29   R9 = item(R8, R9)                                         dead R8  @ golden_flows.py:97   ; live 11 registers
    23  %31   R10 = item(R9, R10)                                       dead R9  @ golden_flows.py:97   ; live 10 registers
    24  %33   R11 = item(R21, R11)                                      @ golden_flows.py:97   ; live 10 registers
    25  %35   R12 = item(R11, R12)                                      dead R11  @ golden_flows.py:97   ; live 9 registers
strand 3
    27  %39   R14 = item(R13, R14)                                      dead R13  @ golden_flows.py:97   ; live R10 R14 R15 R16 R19 R20 R21
    28  %41   R15 = item(R14, R15)                                      dead R14  @ golden_flows.py:97   ; live R10 R15 R16 R19 R20 R21
    29  %43   R16 = item(R15, R16)                                      dead R15  @ golden_flows.py:97   ; live R10 R16 R19 R20 R21
    30  %51   R19 = build list(R21, R1R0, R16, R19)                      dead R10 R16 R21   ; live R19 R20
    31  %52   return(R19)                                                ; live R19 R20
strand 5 eager needs 0 1
    32  %-1   drop(R20)                                                 dead R20   ; live R19

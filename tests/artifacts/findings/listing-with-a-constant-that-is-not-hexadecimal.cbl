program f5cca903167ab7159ee839f49b6c168b1cd3043a
  input "a" param type "int" default -
  input "b" param type "str" default a162   ; default 'b'
  input "c" param type "float" default cb3fe0000000000000   ; default 0.5
  input "d" param type "bool" default c2   ; default False
  input "e" param type "bytes" default c40165   ; default b'e'
  input "f" param type "list[int]" default 92a46c697837401   ; default [1]
  input "g" param type "tuple[int, ...]" default 93a57475706c650102   ; default (1, 2)
  input "h" param type "tuple[int, str]" default 93a57475706c6501a168   ; default (1, 'h')
  input "i" param type "dict[str, list[float]]" default 93a464696374a16992a46c697374cb3ff0000000000000   ; default {'i': [1.0]}
  input "j" param type "set[int]" default 92a373657403   ; default {3}
  input "k" param type "frozenset[str]" default 92a966726f7a656e736574a16b   ; default frozenset({'k'})
  input "l" param type "int | None" default c0   ; default None
  choice [[11,0],[11,-9],false]   ; 0: true, false: %11 in region 11, R7
  input "m" param type "Literal[\"x\", 1, None]" default a178   ; default 'x'
  input "n" param type "date" default 92a464617465aa323032362d30312d3331   ; default datetime.date(2026, 1, 31)
  input "o" param type "datetime | int" default 00   ; default 0
  input "p" param type "Decimal" default 92a7446563696d616ca3312e35   ; default Decimal('1.5')
  input "q" param type "UUID" default 92a455554944d9203030303030303030303030303030303030303030303030303030303030303037   ; default UUID('00000000-0000-0000-0000-000000000007')
  input "r" param type "any" default 91a8656c6c6970736973   ; default Ellipsis
  input "s" param type "complex" default 93a7636f6d706c6578cb0000000000000000cb3ff0000000000000   ; default 1j
  input "t" param type "timedelta" default 94a974696d6564656c7461010000   ; default datetime.timedelta(days=1)
  input "u" param type "object" default c0   ; default None
  input "v" param type "bytearray" default 92a9627974656172726179c40176   ; default bytearray(b'v')
  input "w" param type "time" default 93a474696d65a830313a30303a303000   ; default datetime.time(1, 0)

blueprint f5cca903167ab7159ee839f49b6c168b1cd3043a
  registers 23   literals 0   inputs "a" "b" "c" "d" "e" "f" "g" "h" "i" "j" "k" "l" "m" "n" "o" "p" "q" "r" "s" "t" "u" "v" "w"
  symbol "golden_flows:show" sync version "1" signature "(*args, **named)"
strand 0
     0  %23   R11 = call golden_flows:show(R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11)  dead R0 R1 R2 R3 R4 R5 R6 R7 R8 R9 R10  @ golden_flows.py:130   ; live 12 registers
     1  %24   R22 = call golden_flows:show(R12, R13, R14, R15, R16, R17, R18, R19, R20, R21, R22)  dead R12 R13 R14 R15 R16 R17 R18 R19 R20 R21  @ golden_flows.py:130   ; live R11 R22
     2  %25   R22 = build list(R11, R22)                                                dead R11   ; live R22
     3  %26   return(R22)                                                                ; live R22
